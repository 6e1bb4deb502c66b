-- SPDX-License-Identifier: Apache-2.0
--
-- stage.lua - begin a registry of an import, aside.
--
-- KEYS  the base of the registry
-- ARGV  now, default ttl (microseconds), prefix of the import, seconds until what lies aside expires; the number of this
--       registry in the import, 'refuse', 'replace' or 'merge', its name, ttl (seconds), time of its last write
-- gives 'ok' and how many registries the import has; or 'taken'

local base, prefix, life = KEYS[1], ARGV[3], ARGV[4]
local number, taken, registry, ttl, updated = unpack(ARGV, 5, 9)
local staged, list = aside(prefix, base), prefix .. 'r'

local found = find(base, tonumber(ARGV[1]), tonumber(ARGV[2]))
local begun = redis.call('HMGET', staged, 'number', 'updated')
if begun[1] ~= number then -- else the same is asked again
  if taken == 'refuse' and (found or begun[1]) then
    return {'taken'}
  end
  if taken == 'merge' and begun[1] then
    if tonumber(begun[2]) < tonumber(updated) then
      redis.call('HSET', staged, 'updated', updated)
    end
    redis.call('HSET', staged, 'number', number, 'there', '1', 'given', '0')
  else
    drop(staged)
    redis.call('HSET', staged, 'ttl', ttl, 'updated', updated, 'last', '0', 'taken', taken, 'there',
               taken == 'merge' and found and '1' or '0', 'number', number, 'given', '0', 'entries', '0', 'tallies', '0')
    if not begun[1] then
      redis.call('RPUSH', list, registry, base)
    end
  end
end
expire(staged, life)
redis.call('EXPIRE', list, life)
return {'ok', whole(redis.call('LLEN', list) / 2)}
