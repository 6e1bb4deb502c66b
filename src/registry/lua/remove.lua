-- SPDX-License-Identifier: Apache-2.0
--
-- remove.lua - take entries out, if none has been added since they were picked.
--
-- KEYS  the base of the registry
-- ARGV  now, default ttl; the order of the registry's last entry when they were picked; their orders, eight bytes each
-- gives 'ok' and how many there were; 'changed' where others have been added since; or 'unknown'

local base, now, default, picked = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4]

local found = find(base, now, default)
if not found then
  return {'unknown'}
end
if found.last ~= ARGV[3] then
  return {'changed'}
end

-- The name is free again: the next one of its base may take it.
local function release(step, name)
  redis.call('HDEL', base .. ':n', step .. ':' .. name)
  local stem, number = name:match('^(.+)_([1-9]%d*)$')
  if not stem or #number > 15 then
    return
  end
  local key = step .. ':' .. stem
  local next = redis.call('HGET', base .. ':x', key)
  if next and number == '1' then
    redis.call('HDEL', base .. ':x', key)
  elseif next and tonumber(next) > tonumber(number) then
    redis.call('HSET', base .. ':x', key, number)
  end
end

local function remove(order, record)
  local step = whole(step_of(record))
  redis.call('HDEL', base .. ':e', order)
  redis.call('HDEL', base .. ':t', order)
  redis.call('ZREM', base .. ':a', order)
  redis.call('ZREM', base .. ':s', place(step, order))
  if redis.call('HINCRBY', base .. ':c', step, -1) == 0 then
    redis.call('HDEL', base .. ':c', step)
  end
  release(step, name_of(record))
end

local removed = 0
for at = 1, #picked, 8 do
  local order = whole((struct.unpack('<I8', picked, at)))
  local record = redis.call('HGET', base .. ':e', order)
  if record then
    remove(order, record)
    removed = removed + 1
  end
end
redis.call('HSET', base, 'updated', whole(now)) -- last: full memory must not stop a removal
return {'ok', whole(removed)}
