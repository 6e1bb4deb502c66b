-- SPDX-License-Identifier: Apache-2.0
--
-- put.lua - make a registry where there is none, and set its ttl.
--
-- KEYS  the index of registries, the base of the registry
-- ARGV  now, default ttl, registry, ttl in seconds
-- gives 'ok'

local index, base, now = KEYS[1], KEYS[2], tonumber(ARGV[1])
local found, over = find(base, now, tonumber(ARGV[2]))
if over then
  drop(base)
end
redis.call('HSET', base, 'ttl', ARGV[4], 'updated', whole(now), 'last', found and found.last or '0')
redis.call('ZADD', index, 0, ARGV[3])
return {'ok'}
