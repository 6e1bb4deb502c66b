-- SPDX-License-Identifier: Apache-2.0
--
-- scan.lua - entries in the order of adding, as they are at this moment.
--
-- KEYS  the base of the registry
-- ARGV  now, default ttl; step (or 'latest', 'all'); only entries of a higher order; collection and name ('': every
--       one); how many entries to look at, and how many to give at most (0: no bound)
-- gives 'ok', the step ('' where there is none or all are asked for), the order looked at last ('' at the end), the
--       order of the registry's last entry, then order, record and tally or '' of each entry; or 'unknown'

local base, now, default = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local step, after, collection, name = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local look, most = tonumber(ARGV[7]), tonumber(ARGV[8])

local found = find(base, now, default)
if not found then
  return {'unknown'}
end
if step == 'latest' then
  step = latest_step(base)
  step = step and whole(step) or ''
end
local answer = {'ok', step == 'all' and '' or step, '', found.last}
if step == '' then
  return answer
end

local function has_collection(record)
  local at = record:find('\0', HEAD + 1, true)
  return record:sub(at + 1, at + #collection + 1) == collection .. '\0'
end

local function is_meant(record)
  return (collection == '' or has_collection(record)) and (name == '' or name_of(record) == name)
end

-- The next orders; an empty list at the end.
local function orders_after(order, count)
  if step == 'all' then
    return redis.call('ZRANGEBYSCORE', base .. ':a', '(' .. whole(order), '+inf', 'LIMIT', 0, count)
  end
  if name ~= '' then
    local only = redis.call('HGET', base .. ':n', step .. ':' .. name)
    return only and tonumber(only) > order and {only} or {}
  end
  local places = redis.call('ZRANGEBYLEX', base .. ':s', '(' .. place(step, order), '[' .. place(step, 9007199254740992),
                            'LIMIT', 0, count)
  for i, text in ipairs(places) do
    places[i] = whole(tonumber(text:sub(17)))
  end
  return places
end

local looked, given = 0, 0
while true do
  local orders = orders_after(after, look > 0 and math.min(CHUNK, look - looked) or CHUNK)
  if #orders == 0 then
    return answer
  end
  local records = redis.call('HMGET', base .. ':e', unpack(orders))
  local tallies = redis.call('HMGET', base .. ':t', unpack(orders))
  for i, order in ipairs(orders) do
    if is_meant(records[i]) then
      given = given + 1
      answer[#answer + 1] = order
      answer[#answer + 1] = records[i]
      answer[#answer + 1] = tallies[i] or ''
    end
    after = tonumber(order)
    if given == most then
      answer[3] = order
      return answer
    end
  end
  looked = looked + #orders
  if looked == look then
    answer[3] = whole(after)
    return answer
  end
end
