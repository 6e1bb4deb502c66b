-- SPDX-License-Identifier: Apache-2.0
--
-- staged.lua - what an import has put aside, out of everybody's sight; part of the scripts that import.
--
-- All keys of an import begin with its prefix. A registry's keys have that instead of 'lossd:', and lie as common.lua says;
-- until it is put in place its hash has more fields: `taken` (refuse, replace or merge: what becomes of one that is
-- there), `there` (1: entries may be here already), `number` (which of the import's registries made it), `given` (entries
-- that came for it), `entries` and `tallies` (what it has). A list of an idempotency key is the prefix, 'key:' and the key.
--   r  list, registries: name and base of each
--   k  list, idempotency keys: name, `taken` and time of each
--   d  the mark that all is in place
-- Everything expires: an import that was given up leaves nothing for long.

local LOSSD = 'lossd:'

local function aside(prefix, key)
  return prefix .. key:sub(#LOSSD + 1)
end

local function expire(base, life)
  redis.call('EXPIRE', base, life)
  for _, suffix in ipairs(SUFFIXES) do
    redis.call('EXPIRE', base .. suffix, life)
  end
end

-- Are two entries alike in all but their order? Tallies have one form. What they give need not be compared, and a loss that
-- is no number has many forms.
local function same(a, b)
  local x, y = a.record, b.record
  if a.tally ~= b.tally or x:sub(1, 9) ~= y:sub(1, 9) or x:sub(18) ~= y:sub(18) then
    return false
  end
  local p, q = struct.unpack('<d', x, 10), struct.unpack('<d', y, 10)
  return a.tally ~= '' or x == y or p ~= p and q ~= q
end

-- The orders that these entries' names have in a registry, at most CHUNK: by their number, nil where one is free.
local function find_orders(base, entries)
  local names, found = {}, {}
  for i, entry in ipairs(entries) do
    names[i] = entry.step .. ':' .. entry.name
  end
  for i, order in ipairs(redis.call('HMGET', base .. ':n', unpack(names))) do
    found[i] = order or nil
  end
  return found
end

-- What a registry has under the names of these entries, in the same way.
local function find_entries(base, entries)
  local orders, numbers, found = {}, {}, {}
  for i, order in pairs(find_orders(base, entries)) do
    orders[#orders + 1], numbers[#numbers + 1] = order, i
  end
  if #orders > 0 then
    local records = redis.call('HMGET', base .. ':e', unpack(orders))
    local tallies = redis.call('HMGET', base .. ':t', unpack(orders))
    for at, i in ipairs(numbers) do
      found[i] = {record = records[at], tally = tallies[at] or ''}
    end
  end
  return found
end

-- Where all suffixes below this one are taken, the search for a free name goes on behind it.
local function note_suffix(base, entry, next)
  local stem, number = entry.name:match('^(.+)_([1-9]%d*)$')
  if not stem or #number > 15 then
    return
  end
  local key = entry.step .. ':' .. stem
  next[key] = next[key] or redis.call('HGET', base .. ':x', key) or '1'
  if next[key] == number then
    next[key] = whole(number + 1)
    redis.call('HSET', base .. ':x', key, next[key])
  end
end

-- Put entries, at most CHUNK, whose names are free into a registry; their orders follow `order`.
local function insert(base, entries, order)
  local records, names, orders, places, tallies, counts, next = {}, {}, {}, {}, {}, {}, {}
  for i, entry in ipairs(entries) do
    local own = whole(order + i)
    records[2 * i - 1], records[2 * i] = own, entry.record
    names[2 * i - 1], names[2 * i] = entry.step .. ':' .. entry.name, own
    orders[2 * i - 1], orders[2 * i] = own, own
    places[2 * i - 1], places[2 * i] = 0, place(entry.step, own)
    if entry.tally ~= '' then
      tallies[#tallies + 1] = own
      tallies[#tallies + 1] = entry.tally
    end
    counts[entry.step] = (counts[entry.step] or 0) + 1
    note_suffix(base, entry, next)
  end
  redis.call('HSET', base .. ':e', unpack(records))
  redis.call('HSET', base .. ':n', unpack(names))
  redis.call('ZADD', base .. ':a', unpack(orders))
  redis.call('ZADD', base .. ':s', unpack(places))
  if #tallies > 0 then
    redis.call('HSET', base .. ':t', unpack(tallies))
  end
  for step, count in pairs(counts) do
    redis.call('HINCRBY', base .. ':c', step, count)
  end
  return #tallies / 2
end
