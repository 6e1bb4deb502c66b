-- SPDX-License-Identifier: Apache-2.0
--
-- stage_entries.lua - the next entries of a registry of an import, aside; all or none.
--
-- KEYS  the counter of orders, the base of the registry
-- ARGV  now, default ttl (microseconds), prefix of the import, seconds until what lies aside expires; how many entries came
--       before; then step, name, record and tally or '' of each, at most 500
-- gives 'ok'; 'entry' and of the first whose name another has its number, from zero, step and name; or 'gone': what came
--       before is not there

local counter, base, prefix, life, before = KEYS[1], KEYS[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local FIRST, FIELDS = 6, 4
local n = (#ARGV - FIRST + 1) / FIELDS
local staged = aside(prefix, base)

local about = redis.call('HMGET', staged, 'taken', 'there', 'given')
if about[1] and tonumber(about[3]) == before + n then
  return {'ok'} -- the same is asked again
end
if not about[1] or tonumber(about[3]) ~= before then
  return {'gone'}
end

local entries, seen, fresh = {}, {}, {}
for i = 1, n do
  local at = FIRST + (i - 1) * FIELDS
  entries[i] = {step = ARGV[at], name = ARGV[at + 1], record = ARGV[at + 2], tally = ARGV[at + 3]}
end
local here = find_entries(staged, entries)
local there = about[1] == 'merge' and find(base, tonumber(ARGV[1]), tonumber(ARGV[2])) and find_entries(base, entries) or {}
for i, entry in ipairs(entries) do
  local name = entry.step .. ':' .. entry.name
  local old = here[i] or seen[name]
  if old and (about[2] ~= '1' or not same(old, entry)) or there[i] and not same(there[i], entry) then
    return {'entry', whole(i - 1), entry.step, entry.name}
  end
  if not old then
    seen[name] = entry
    fresh[#fresh + 1] = entry
  end
end

local last = redis.call('INCRBY', counter, #fresh)
if #fresh > 0 then
  local tallies = insert(staged, fresh, last - #fresh)
  redis.call('HINCRBY', staged, 'entries', #fresh)
  redis.call('HINCRBY', staged, 'tallies', tallies)
  redis.call('HSET', staged, 'last', whole(last))
end
redis.call('HSET', staged, 'given', whole(before + n))
expire(staged, life)
redis.call('EXPIRE', prefix .. 'r', life)
return {'ok'}
