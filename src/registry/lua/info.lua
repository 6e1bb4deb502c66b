-- SPDX-License-Identifier: Apache-2.0
--
-- info.lua - what there is to say of a registry.
--
-- KEYS  its base
-- ARGV  now, default ttl
-- gives 'ok', ttl in seconds, time of the last write, entries, steps, latest step or ''; or 'unknown'

local base = KEYS[1]
local found = find(base, tonumber(ARGV[1]), tonumber(ARGV[2]))
if not found then
  return {'unknown'}
end
local latest = latest_step(base)
return {'ok', found.ttl, found.updated, whole(redis.call('ZCARD', base .. ':a')), whole(redis.call('HLEN', base .. ':c')),
        latest and whole(latest) or ''}
