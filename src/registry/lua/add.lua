-- SPDX-License-Identifier: Apache-2.0
--
-- add.lua - add entries and merge batches, all or none, once under a key.
--
-- KEYS  the index of registries, the counter of orders, the idempotency key (or the index again), bases of registries
-- ARGV  now, default ttl and life of a key (microseconds), fingerprint ('': no key), longest name;
--       then for each: the number of its base in KEYS, registry, step, name, head and tail of its record, tally or ''
-- gives 'ok' and for each entry order, record and tally or ''; or what is in the way, with nothing changed:
--       'key'; or, with the number of the entry from zero, 'name' and the suffix there is no room for, or 'merge' with
--       order, record and tally that are there
--
-- First all is planned, with what this call itself adds seen by its later parts, and only then written.

local index, counter, kept = KEYS[1], KEYS[2], KEYS[3]
local now, default, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local fingerprint, longest = ARGV[4], tonumber(ARGV[5])
local FIRST, FIELDS = 6, 7
local n = (#ARGV - FIRST + 1) / FIELDS

-- What was answered under the key: fingerprint and time, then as this call answers.
local function answered()
  local list = redis.call('LRANGE', kept, 0, -1)
  if not list[1] or tonumber(list[2]) + life <= now then
    return nil
  end
  if list[1] ~= fingerprint or #list ~= 2 + 3 * n then
    return {'key'}
  end
  table.remove(list, 1)
  list[1] = 'ok'
  return list
end

-- A registry as it will be. Tables by step:name and by order hold what this call changes; orders count from `added`
-- entries of this call until they are known.
local plans, added = {}, {}

local function plan_of(base, registry)
  if not plans[base] then
    local found, over = find(base, now, default)
    plans[base] = {base = base, registry = registry, fresh = not found, over = over, names = {}, next = {}, merged = {}}
  end
  return plans[base]
end

-- Who has the name: an order (text), or an entry of this call (table), or nil.
local function owner(plan, key)
  return plan.names[key] or not plan.fresh and redis.call('HGET', plan.base .. ':n', key) or nil
end

-- The name next to `name` that is free, or nil and the number that no longer fits.
local function free_name(plan, step, name)
  local key = step .. ':' .. name
  if not owner(plan, key) then
    return name
  end
  local number = plan.next[key] or not plan.fresh and redis.call('HGET', plan.base .. ':x', key) or 1
  number = tonumber(number)
  while true do
    local try = name .. '_' .. whole(number)
    if #try > longest then
      return nil, whole(number)
    end
    number = number + 1
    if not owner(plan, step .. ':' .. try) then
      plan.next[key] = whole(number)
      return try
    end
  end
end

-- The entry of that owner: its record and tally, as they are after what was planned.
local function entry_of(plan, who)
  if type(who) == 'table' then
    return who
  end
  if not plan.merged[who] then
    plan.merged[who] = {order = who, record = redis.call('HGET', plan.base .. ':e', who),
                        tally = redis.call('HGET', plan.base .. ':t', who) or ''}
  end
  return plan.merged[who]
end

local function plan_merge(entry, name, tail, batch)
  if entry.tally == '' or entry.record:sub(HEAD + #name + 2) ~= tail then
    return {'merge', entry.order or '0', entry.record, entry.tally}
  end
  entry.tally = merge(entry.tally, batch)
  entry.changed = true
  return nil, {entry = entry, tally = entry.tally}
end

local function plan_new(plan, step, name, head, tail, tally)
  local free, number = free_name(plan, step, name)
  if not free then
    return {'name', number}
  end
  local entry = {plan = plan, step = step, name = free, record = head .. free .. '\0' .. tail, tally = tally}
  plan.names[step .. ':' .. free] = entry
  added[#added + 1] = entry
  return nil, {entry = entry, tally = tally}
end

local function plan_one(i)
  local at = FIRST + (i - 1) * FIELDS
  local base, registry, step, name, head, tail, tally = unpack(ARGV, at, at + FIELDS - 1)
  local plan = plan_of(KEYS[tonumber(base)], registry)
  local who = tally ~= '' and owner(plan, step .. ':' .. name)
  if who then
    return plan_merge(entry_of(plan, who), name, tail, tally)
  end
  return plan_new(plan, step, name, head, tail, tally)
end

local function write_registry(plan)
  if plan.over then
    drop(plan.base)
  end
  if plan.fresh then
    redis.call('HSET', plan.base, 'ttl', '0', 'updated', whole(now), 'last', plan.last)
    redis.call('ZADD', index, 0, plan.registry)
  elseif plan.last then
    redis.call('HSET', plan.base, 'updated', whole(now), 'last', plan.last)
  else
    redis.call('HSET', plan.base, 'updated', whole(now))
  end
  for key, number in pairs(plan.next) do
    redis.call('HSET', plan.base .. ':x', key, number)
  end
  for order, entry in pairs(plan.merged) do
    if entry.changed then
      redis.call('HSET', plan.base .. ':t', order, entry.tally)
    end
  end
end

local function write_entry(entry)
  local base, step, order = entry.plan.base, entry.step, entry.order
  redis.call('HSET', base .. ':e', order, entry.record)
  redis.call('HSET', base .. ':n', step .. ':' .. entry.name, order)
  redis.call('ZADD', base .. ':a', order, order)
  redis.call('ZADD', base .. ':s', 0, place(step, order))
  redis.call('HINCRBY', base .. ':c', step, 1)
  if entry.tally ~= '' then
    redis.call('HSET', base .. ':t', order, entry.tally)
  end
end

local function keep(answer)
  redis.call('DEL', kept)
  redis.call('RPUSH', kept, fingerprint, whole(now))
  for i = 2, #answer, CHUNK do
    redis.call('RPUSH', kept, unpack(answer, i, math.min(i + CHUNK - 1, #answer)))
  end
  redis.call('PEXPIRE', kept, whole(math.ceil(life / 1000)))
end

local again = fingerprint ~= '' and answered()
if again then
  return again
end
local results = {}
for i = 1, n do
  local refusal, result = plan_one(i)
  if refusal then
    table.insert(refusal, 2, whole(i - 1))
    return refusal
  end
  results[i] = result
end
-- The first write of all is one that Redis refuses where its memory is full: then nothing is half done.
local before = #added > 0 and redis.call('INCRBY', counter, #added) - #added
for i, entry in ipairs(added) do
  entry.order = whole(before + i)
  entry.plan.last = entry.order
end
for _, plan in pairs(plans) do
  write_registry(plan)
end
for _, entry in ipairs(added) do
  write_entry(entry)
end
local answer = {'ok'}
for _, result in ipairs(results) do
  answer[#answer + 1] = result.entry.order
  answer[#answer + 1] = result.entry.record
  answer[#answer + 1] = result.tally
end
if fingerprint ~= '' then
  keep(answer)
end
return answer
