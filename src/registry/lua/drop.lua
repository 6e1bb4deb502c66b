-- SPDX-License-Identifier: Apache-2.0
--
-- drop.lua - forget a registry, or forget it only if it is over.
--
-- KEYS  the index of registries, the base of the registry
-- ARGV  now, default ttl, registry, 'any' or 'over'
-- gives 'ok' and how many entries it had; or 'unknown'

local index, base = KEYS[1], KEYS[2]
local found = find(base, tonumber(ARGV[1]), tonumber(ARGV[2]))
if found and ARGV[4] == 'over' then
  return {'ok', '0'}
end
local entries = redis.call('ZCARD', base .. ':a')
drop(base)
redis.call('ZREM', index, ARGV[3])
if not found then
  return {'unknown'}
end
return {'ok', whole(entries)}
