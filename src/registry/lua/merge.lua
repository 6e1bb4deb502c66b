-- SPDX-License-Identifier: Apache-2.0
--
-- merge.lua - adding one tally to another, exactly; part of add.lua.
--
-- A tally (redis_record.c writes the same) is eight bytes of time, four counters of 64 bits, and three sums. A sum is the
-- number of its lowest limb, how many limbs there are, and whether counts of NaN and the infinities follow: a byte each;
-- then the limbs, 32 bits each, lowest first, of which the highest has the sign; then those counts, 64 bits each.
-- A number has one such form: its lowest limb is not zero, and its highest says more than the sign of the one below.
-- Limbs and halves of counters are below 2^32, so that doubles add them exactly, with room for the carry.

local LIMB, HALF, TOP, TOP_LIMIT = 4294967296, 2147483648, 69, 1073741824
local COUNTERS = 9 -- where they begin
local SUMS = COUNTERS + 32

-- Add two counters of 64 bits given as halves; at the end they wrap, or stay where they may not.
local function add_counter(low_a, high_a, low_b, high_b, stays)
  local low, high = low_a + low_b, high_a + high_b
  if low >= LIMB then
    low, high = low - LIMB, high + 1
  end
  if high >= LIMB then
    if stays then
      return LIMB - 1, LIMB - 1
    end
    high = high - LIMB
  end
  return low, high
end

local function add_counters(a, at_a, b, at_b, n, stays)
  local format = '<' .. string.rep('I4', 2 * n)
  local x, y = {struct.unpack(format, a, at_a)}, {struct.unpack(format, b, at_b)}
  for i = 1, 2 * n, 2 do
    x[i], x[i + 1] = add_counter(x[i], x[i + 1], y[i], y[i + 1], stays)
  end
  return struct.pack(format, unpack(x, 1, 2 * n))
end

local function limbs(n)
  return '<' .. string.rep('I4', n - 1) .. 'i4'
end

local function read_sum(bytes, at)
  local low, n, odd = bytes:byte(at, at + 2)
  local sum = {low = low, n = n, after = at + 3 + 4 * n, digit = {}}
  if n > 0 then
    sum.digit = {struct.unpack(limbs(n), bytes, at + 3)}
    sum.digit[n + 1] = nil -- where unpack stopped
  end
  if odd == 1 then
    sum.odd = bytes:sub(sum.after, sum.after + 23)
    sum.after = sum.after + 24
  end
  return sum
end

-- Limbs of a + b from `low` on, each from 0 to 2^32 - 1 but for the highest, which has the sign.
local function add_limbs(a, b, low)
  local high = math.max(a.low + a.n, b.low + b.n)
  local digit, carry = {}, 0
  for i = low, high - 1 do
    local v = (a.digit[i - a.low + 1] or 0) + (b.digit[i - b.low + 1] or 0) + carry
    carry = math.floor(v / LIMB)
    digit[#digit + 1] = v - carry * LIMB
  end
  digit[#digit + 1] = carry
  return digit
end

-- The first and the last limb that the one form of the number has.
local function trim(digit)
  local first, last = 1, #digit
  while last > 1 and (digit[last] == 0 and digit[last - 1] < HALF or digit[last] == -1 and digit[last - 1] >= HALF) do
    if digit[last] == -1 then
      digit[last - 1] = digit[last - 1] - LIMB
    end
    last = last - 1
  end
  while first <= last and digit[first] == 0 do
    first = first + 1
  end
  return first, last
end

local NONE = string.rep('\0', 24)
local PLUS_ONE, MINUS_ONE = string.rep('\0', 8) .. '\1' .. string.rep('\0', 15), string.rep('\0', 16) .. '\1' .. string.rep('\0', 7)

local function write_sum(low, digit, odd)
  local first, last = trim(digit)
  local top, n = low + last - 1, last - first + 1
  if n > 0 and (top > TOP or top == TOP and (digit[last] >= TOP_LIMIT or digit[last] < -TOP_LIMIT)) then
    odd = add_counters(odd or NONE, 1, digit[last] < 0 and MINUS_ONE or PLUS_ONE, 1, 3, true)
    n = 0
  end
  local text = string.char(n > 0 and low + first - 1 or 0, n, odd and 1 or 0)
  if n > 0 then
    text = text .. struct.pack(limbs(n), unpack(digit, first, last))
  end
  return text .. (odd or '')
end

local function add_sums(a, b)
  local odd = a.odd and b.odd and add_counters(a.odd, 1, b.odd, 1, 3, true) or a.odd or b.odd
  local low = a.n == 0 and b.low or b.n == 0 and a.low or math.min(a.low, b.low)
  return write_sum(low, add_limbs(a, b, low), odd)
end

-- What has been merged with a batch more; the time is the batch's.
local function merge(old, batch)
  local parts = {batch:sub(1, 8), add_counters(old, COUNTERS, batch, COUNTERS, 4, false)}
  local at_old, at_batch = SUMS, SUMS
  for _ = 1, 3 do
    local a, b = read_sum(old, at_old), read_sum(batch, at_batch)
    parts[#parts + 1] = add_sums(a, b)
    at_old, at_batch = a.after, b.after
  end
  return table.concat(parts)
end
