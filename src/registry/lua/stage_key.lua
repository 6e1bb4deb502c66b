-- SPDX-License-Identifier: Apache-2.0
--
-- stage_key.lua - an idempotency key of an import, aside.
--
-- KEYS  the idempotency key
-- ARGV  now, life of a key (microseconds), prefix of the import, seconds until what lies aside expires; 'refuse', 'replace'
--       or 'merge', the key's name, its fingerprint and time; then order, record and tally of each entry that it answers
-- gives 'ok' and how many keys the import has; or 'key': it is there with another fingerprint or time

local kept, now, key_life, prefix, life = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local taken, name, fingerprint, time = unpack(ARGV, 5, 8)
local staged, list = aside(prefix, kept), prefix .. 'k'
local ANSWERS = 7 -- where the list to keep begins: fingerprint, time and what follows

-- Is a key there, and is it this very one?
local function look(key)
  local old = redis.call('LRANGE', key, 0, 1)
  if not old[1] or tonumber(old[2]) + key_life <= now then
    return false, false
  end
  return true, old[1] == fingerprint and old[2] == time
end

local there, there_same = look(kept)
local here, here_same = look(staged)
if taken ~= 'replace' and (there and not there_same or here and not here_same) then
  return {'key'}
end
if not (there_same and not here) and not here_same then
  redis.call('DEL', staged)
  for i = ANSWERS, #ARGV, CHUNK do
    redis.call('RPUSH', staged, unpack(ARGV, i, math.min(i + CHUNK - 1, #ARGV)))
  end
  redis.call('EXPIRE', staged, life)
  if not here then
    redis.call('RPUSH', list, name, taken, time)
  end
end
redis.call('EXPIRE', list, life)
return {'ok', whole(redis.call('LLEN', list) / 3)}
