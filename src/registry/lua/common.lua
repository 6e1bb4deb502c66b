-- SPDX-License-Identifier: Apache-2.0
--
-- common.lua - how a registry lies in Redis; every script begins with this text.
--
-- A registry has a base key, a hash of `ttl` (seconds, 0: the server's own), `updated` (microseconds since 1970) and
-- `last` (the order of the entry added last). All its other keys are the base with a suffix:
--   :e  hash, order -> record: what never changes of an entry (redis_record.c)
--   :t  hash, order -> time and tally of an entry that accumulates
--   :n  hash, step:name -> order
--   :x  hash, step:name -> the next number to try as a suffix of that name
--   :c  hash, step -> how many entries it has; steps without entries are not there
--   :a  sorted set of orders, by order
--   :s  sorted set of step and order, sixteen digits each, by text
-- Numbers of Lua are doubles: orders, steps and times stay below 2^53.

local SUFFIXES = {':e', ':t', ':n', ':x', ':c', ':a', ':s'}
local CHUNK = 500 -- elements handed to one command

local function whole(number)
  return string.format('%.0f', number)
end

local function place(step, order)
  return string.format('%016.0f%016.0f', step, order)
end

-- Is a registry that was last written then, with that ttl, over? `default` is the server's ttl in microseconds.
local function is_over(ttl, updated, now, default)
  ttl = tonumber(ttl) * 1000000
  if ttl == 0 then
    ttl = default
  end
  return ttl > 0 and tonumber(updated) + ttl <= now
end

-- Its ttl, updated and last where it is there and not over, else nil; then whether there is one that is over.
local function find(base, now, default)
  local found = redis.call('HMGET', base, 'ttl', 'updated', 'last')
  if not found[1] then
    return nil, false
  end
  if is_over(found[1], found[2], now, default) then
    return nil, true
  end
  return {ttl = found[1], updated = found[2], last = found[3]}, false
end

local function drop(base)
  redis.call('UNLINK', base)
  for _, suffix in ipairs(SUFFIXES) do
    redis.call('UNLINK', base .. suffix)
  end
end

local function latest_step(base)
  local found = redis.call('ZREVRANGE', base .. ':s', 0, 0)
  return found[1] and tonumber(found[1]:sub(1, 16))
end

-- A record is a fixed head, the name, and what follows it: collection, dtype, reduction, tally; each with a zero.
local HEAD = 25

local function name_of(record)
  return record:sub(HEAD + 1, record:find('\0', HEAD + 1, true) - 1)
end

local function step_of(record)
  return (struct.unpack('<I8', record, 2))
end
