-- SPDX-License-Identifier: Apache-2.0
--
-- place.lua - put all that an import has aside in place, or nothing of it.
--
-- KEYS  the index of registries, the counter of orders
-- ARGV  now, default ttl, life of a key (microseconds), prefix of the import, seconds until its mark expires; how many
--       registries and keys it has
-- gives 'ok'; or, with nothing changed, 'taken' and a registry's name; 'entry' and the registry's name, step and name of an
--       entry that is there with another content; 'key' and its name; or 'gone': what lay aside is not whole
--
-- Others may have written since it was put aside, so all is looked at again before the first write. What is new is renamed;
-- only entries that go into a registry that is there are copied.

local index, counter = KEYS[1], KEYS[2]
local now, default, key_life, prefix, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local ALWAYS = {':e', ':n', ':c', ':a', ':s'} -- what a registry with entries has
local mark = prefix .. 'd'

-- Items of a list, at most `together` at a time; visit gives what ends the walk.
local function each_item(list, together, visit)
  for at = 0, redis.call('LLEN', list) - 1, together do
    local ends = visit(redis.call('LRANGE', list, at, at + together - 1))
    if ends then
      return ends
    end
  end
end

-- Entries aside in the order of adding, at most CHUNK at a time; visit gives what ends the walk.
local function each_piece(staged, visit)
  for at = 0, redis.call('ZCARD', staged .. ':a') - 1, CHUNK do
    local orders = redis.call('ZRANGE', staged .. ':a', at, at + CHUNK - 1)
    local records = redis.call('HMGET', staged .. ':e', unpack(orders))
    local tallies = redis.call('HMGET', staged .. ':t', unpack(orders))
    local entries = {}
    for i, record in ipairs(records) do
      entries[i] = {step = whole(step_of(record)), name = name_of(record), record = record, tally = tallies[i] or ''}
    end
    local ends = visit(entries)
    if ends then
      return ends
    end
  end
end

-- How many of them the registry does not have; or nil and the first of which it has another.
local function count_missing(base, entries)
  local old, missing = find_entries(base, entries), 0
  for i, entry in ipairs(entries) do
    if not old[i] then
      missing = missing + 1
    elseif not same(old[i], entry) then
      return nil, entry
    end
  end
  return missing
end

local plans, added = {}, 0

local function is_whole(staged, about)
  local entries, tallies = tonumber(about.entries), tonumber(about.tallies)
  for _, suffix in ipairs(entries > 0 and ALWAYS or {}) do
    if redis.call('EXISTS', staged .. suffix) == 0 then
      return false
    end
  end
  return tallies == 0 or redis.call('EXISTS', staged .. ':t') == 1
end

local function plan_registry(item)
  local registry, base = item[1], item[2]
  local staged = aside(prefix, base)
  local got = redis.call('HMGET', staged, 'taken', 'entries', 'tallies', 'updated')
  local about = {taken = got[1], entries = got[2], tallies = got[3], updated = got[4]}
  if not about.taken or not is_whole(staged, about) then
    return {'gone'}
  end
  local found, over = find(base, now, default)
  if found and about.taken == 'refuse' then
    return {'taken', registry}
  end
  local plan = {registry = registry, base = base, staged = staged, about = about, found = found, over = over, adds = 0}
  plans[#plans + 1] = plan
  plan.merges = found and about.taken == 'merge'
  return plan.merges and each_piece(staged, function(entries)
    local missing, other = count_missing(base, entries)
    if not missing then
      return {'entry', registry, other.step, other.name}
    end
    plan.adds, added = plan.adds + missing, added + missing
  end)
end

local keys = {}

local function differs(key)
  local old, new = redis.call('LRANGE', key.kept, 0, 1), redis.call('LRANGE', key.staged, 0, 1)
  return old[1] and tonumber(old[2]) + key_life > now and (old[1] ~= new[1] or old[2] ~= new[2])
end

-- Three items of a key: its name, `taken` and time.
local function plan_keys(items)
  local kept, staged = {}, {}
  for i = 1, #items, 3 do
    local key = {kept = LOSSD .. 'key:' .. items[i], taken = items[i + 1], time = items[i + 2]}
    key.staged = aside(prefix, key.kept)
    if key.taken == 'replace' then -- one of this very import, maybe
      key.time = redis.call('LINDEX', key.staged, 1) or key.time
    end
    keys[#keys + 1], kept[#kept + 1], staged[#staged + 1] = key, key.kept, key.staged
  end
  if redis.call('EXISTS', unpack(staged)) ~= #staged then
    return {'gone'}
  end
  if redis.call('EXISTS', unpack(kept)) > 0 then
    for i = 1, #kept do
      local key = keys[#keys - #kept + i]
      if key.taken ~= 'replace' and differs(key) then
        return {'key', items[3 * i - 2]}
      end
    end
  end
end

local function move(plan)
  if plan.found or plan.over then
    drop(plan.base)
  end
  redis.call('HDEL', plan.staged, 'taken', 'there', 'number', 'given', 'entries', 'tallies')
  redis.call('RENAME', plan.staged, plan.base)
  redis.call('PERSIST', plan.base)
  for _, suffix in ipairs(SUFFIXES) do
    if redis.call('PERSIST', plan.staged .. suffix) == 1 then
      redis.call('RENAME', plan.staged .. suffix, plan.base .. suffix)
    end
  end
  redis.call('ZADD', index, 0, plan.registry)
end

local function copy_missing(plan, order)
  each_piece(plan.staged, function(entries)
    local there, fresh = find_orders(plan.base, entries), {}
    for i, entry in ipairs(entries) do
      if not there[i] then
        fresh[#fresh + 1] = entry
      end
    end
    if #fresh > 0 then
      insert(plan.base, fresh, order)
      order = order + #fresh
    end
  end)
  redis.call('HSET', plan.base, 'last', whole(order))
end

local function merge(plan, order)
  if plan.adds > 0 then
    copy_missing(plan, order)
  end
  if tonumber(plan.found.updated) < tonumber(plan.about.updated) then
    redis.call('HSET', plan.base, 'updated', plan.about.updated)
  end
  drop(plan.staged)
end

if redis.call('EXISTS', mark) == 1 then
  return {'ok'} -- the same is asked again
end
local refusal = each_item(prefix .. 'r', 2, plan_registry) or each_item(prefix .. 'k', 3 * CHUNK, plan_keys)
if refusal then
  return refusal
end
if #plans ~= tonumber(ARGV[6]) or #keys ~= tonumber(ARGV[7]) then
  return {'gone'}
end
-- The first write of all is one that Redis refuses where its memory is full: then nothing is half done.
local order = redis.call('INCRBY', counter, added) - added
for _, plan in ipairs(plans) do
  if plan.merges then
    merge(plan, order)
    order = order + plan.adds
  else
    move(plan)
  end
end
for _, key in ipairs(keys) do
  redis.call('RENAME', key.staged, key.kept)
  redis.call('PEXPIRE', key.kept, whole(math.max(1, math.ceil((tonumber(key.time) + key_life - now) / 1000))))
end
redis.call('UNLINK', prefix .. 'r')
redis.call('UNLINK', prefix .. 'k')
redis.call('SET', mark, '', 'EX', life)
return {'ok'}
