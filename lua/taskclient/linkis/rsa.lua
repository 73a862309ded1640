-- RSA encryption with PKCS#1 v1.5 padding, for the login of servers that want
-- the password encrypted (linkis-wire 2.2). Public key only, so nothing secret
-- steers the arithmetic; in plain Lua, so that no crypto library is needed for
-- the one call per login. Numbers are arrays of 16-bit limbs, lowest first.

local core = require "taskclient.core"

local M = {}

local BASE = 65536
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local MAX_BITS = 4096 -- more would hold the thread for too long

local function decode_base64(text)
  text = text:gsub("%s", ""):gsub("=+$", "")
  local bytes, acc, bits = {}, 0, 0
  for letter in text:gmatch "." do
    local value = ALPHABET:find(letter, 1, true)
    if not value then return nil end
    acc, bits = acc * 64 + value - 1, bits + 6
    if bits >= 8 then
      bits = bits - 8
      local unit = 2 ^ bits
      bytes[#bytes + 1] = string.char(math.floor(acc / unit))
      acc = acc % unit
    end
  end
  return table.concat(bytes)
end

local function encode_base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for j = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ j) % 64 + 1
      out[#out + 1] = ALPHABET:sub(digit, digit)
    end
    if not b then out[#out - 1] = "=" end
    if not c then out[#out] = "=" end
  end
  return table.concat(out)
end

-- One DER element at a position: tag, contents, position behind it.
local function element(der, at)
  local tag, length = der:byte(at, at + 1)
  if not length then return nil end
  at = at + 2
  if length >= 128 then
    local count = length - 128
    length = 0
    for i = 1, count do length = length * 256 + (der:byte(at + i - 1) or 0) end
    at = at + count
  end
  if at + length - 1 > #der then return nil end
  return tag, der:sub(at, at + length - 1), at + length
end

-- Modulus and exponent, as bytes, of an X.509 SubjectPublicKeyInfo.
local function key_parts(der)
  local outer, info = element(der, 1)
  if outer ~= 0x30 then return nil end
  local _, _, after = element(info, 1)
  if not after then return nil end
  local tag, bits = element(info, after)
  if tag ~= 0x03 then return nil end
  local inner, numbers = element(bits, 2)
  if inner ~= 0x30 then return nil end
  local first, modulus, at = element(numbers, 1)
  if first ~= 0x02 then return nil end
  local second, exponent = element(numbers, at)
  if second ~= 0x02 then return nil end
  return (modulus:gsub("^%z+", "")), (exponent:gsub("^%z+", ""))
end

local function to_limbs(bytes)
  local limbs = {}
  if #bytes % 2 == 1 then bytes = "\0" .. bytes end
  for i = #bytes - 1, 1, -2 do
    local high, low = bytes:byte(i, i + 1)
    limbs[#limbs + 1] = high * 256 + low
  end
  return limbs
end

local function to_bytes(limbs, length)
  local out = {}
  for i = #limbs, 1, -1 do
    out[#out + 1] = string.char(math.floor(limbs[i] / 256), limbs[i] % 256)
  end
  local bytes = table.concat(out)
  return bytes:sub(#bytes - length + 1)
end

local function not_less(a, b, n)
  for i = n, 1, -1 do
    if (a[i] or 0) ~= (b[i] or 0) then return (a[i] or 0) > (b[i] or 0) end
  end
  return true
end

local function subtract(a, b, n)
  local borrow = 0
  for i = 1, n do
    local d = (a[i] or 0) - (b[i] or 0) - borrow
    borrow = d < 0 and 1 or 0
    a[i] = d + borrow * BASE
  end
end

-- -1/m modulo the base, by Newton's iteration; m is odd.
local function negative_inverse(m)
  local x = 1
  for _ = 1, 4 do x = x * (2 - m * x % BASE) % BASE end
  return (BASE - x) % BASE
end

-- Montgomery product a*b/R mod m; the sums stay under 2^53.
local function product(a, b, m, n, inverse)
  local t = {}
  for i = 1, n + 2 do t[i] = 0 end
  for i = 1, n do
    local ai = a[i] or 0
    local u = (t[1] + ai * (b[1] or 0)) % BASE * inverse % BASE
    local carry = math.floor((t[1] + ai * (b[1] or 0) + u * m[1]) / BASE)
    for j = 2, n do
      local sum = t[j] + ai * (b[j] or 0) + u * m[j] + carry
      carry = math.floor(sum / BASE)
      t[j - 1] = sum - carry * BASE
    end
    local sum = t[n + 1] + carry
    t[n] = sum % BASE
    t[n + 1] = t[n + 2] + math.floor(sum / BASE)
    t[n + 2] = 0
  end
  if t[n + 1] > 0 or not_less(t, m, n) then subtract(t, m, n + 1) end
  t[n + 1], t[n + 2] = nil, nil
  return t
end

-- 2^bits mod m by doubling.
local function power_of_two(bits, m, n)
  local x = { 1 }
  for _ = 1, bits do
    local carry = 0
    for i = 1, n + 1 do
      local d = (x[i] or 0) * 2 + carry
      carry = d >= BASE and 1 or 0
      x[i] = d - carry * BASE
    end
    if x[n + 1] > 0 or not_less(x, m, n) then subtract(x, m, n + 1) end
  end
  x[n + 1] = nil
  return x
end

-- message^exponent mod modulus, by squaring from the highest bit.
local function power(message, exponent, m)
  local n, inverse = #m, negative_inverse(m[1])
  local square = power_of_two(32 * n, m, n) -- R^2
  local base = product(message, square, m, n, inverse)
  local result = product({ 1 }, square, m, n, inverse)
  for byte in exponent:gmatch "." do
    for bit = 7, 0, -1 do
      result = product(result, result, m, n, inverse)
      if math.floor(byte:byte() / 2 ^ bit) % 2 == 1 then
        result = product(result, base, m, n, inverse)
      end
    end
  end
  return product(result, { 1 }, m, n, inverse)
end

-- Random bytes without zeros, as the padding wants them.
local function padding(length)
  local out = ""
  while #out < length do
    local hex = core.random(length)
    out = out .. hex:gsub("%x%x", function(pair)
      return pair == "00" and "" or string.char(tonumber(pair, 16))
    end)
  end
  return out:sub(1, length)
end

--- Encrypts a short text for the owner of a public key.
---@param key any base64 of an X.509 public key (DER)
---@param text string at most the key's length less 11 bytes
---@return string|nil base64
---@return string|nil why
function M.encrypt(key, text)
  local der = type(key) == "string" and decode_base64(key)
  if not der then return nil, "it is not base64" end
  local modulus, exponent = key_parts(der)
  if not exponent or #exponent == 0 then return nil, "it is not an RSA key" end
  if modulus:byte(-1) % 2 == 0 or #modulus < 64 or #modulus * 8 > MAX_BITS or #exponent > 8 then
    return nil, "it is no RSA key of a usable size"
  end
  local room = #modulus - #text - 3
  if room < 8 then return nil, "the password is too long for it" end
  local block = "\0\2" .. padding(room) .. "\0" .. text
  local limbs = power(to_limbs(block), exponent, to_limbs(modulus))
  return encode_base64(to_bytes(limbs, #modulus))
end

return M
