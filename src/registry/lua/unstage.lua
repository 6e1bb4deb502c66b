-- SPDX-License-Identifier: Apache-2.0
--
-- unstage.lua - throw away some of what an import has aside.
--
-- ARGV  prefix of the import
-- gives 'ok' and how many registries and keys are left

local prefix, left = ARGV[1], 0

-- The first of a list, of which each has so many items.
local function throw(list, each, visit)
  local items = redis.call('LRANGE', prefix .. list, 0, each * CHUNK - 1)
  for i = 1, #items, each do
    visit(items[i], items[i + 1])
  end
  redis.call('LTRIM', prefix .. list, each * CHUNK, -1)
  left = left + redis.call('LLEN', prefix .. list) / each
end

throw('r', 2, function(_, base)
  drop(aside(prefix, base))
end)
throw('k', 3, function(name)
  redis.call('UNLINK', prefix .. 'key:' .. name)
end)
return {'ok', whole(left)}
