-- Texts in other character sets, by the C library's iconv.

local ffi = require "ffi"

ffi.cdef [[
typedef void *iconv_t;
iconv_t iconv_open(const char *to, const char *from);
size_t iconv(iconv_t, char **in, size_t *inleft, char **out, size_t *outleft);
int iconv_close(iconv_t);
]]

local M = {}

local function failed(result) return ffi.cast("intptr_t", result) == -1 end

---@param text string UTF-8
---@param charset string
---@return string bytes what the set cannot express is "?"; an unknown set leaves the text alone
function M.from_utf8(text, charset)
  local handle = ffi.C.iconv_open(charset, "UTF-8")
  if failed(handle) then return text end
  local room = #text * 4 + 16
  local buffer = ffi.new("char[?]", room)
  local source = ffi.new("char[?]", #text + 1, text)
  local input, left = ffi.new("char *[1]", source), ffi.new("size_t[1]", #text)
  local out, space = ffi.new("char *[1]", buffer), ffi.new("size_t[1]", room)
  while failed(ffi.C.iconv(handle, input, left, out, space)) and left[0] > 0 do
    local first = input[0][0] % 256
    local skip = math.min(first >= 240 and 4 or first >= 224 and 3 or first >= 192 and 2 or 1,
      tonumber(left[0]))
    input[0], left[0] = input[0] + skip, left[0] - skip
    out[0][0] = 63
    out[0], space[0] = out[0] + 1, space[0] - 1
  end
  ffi.C.iconv_close(handle)
  return ffi.string(buffer, room - tonumber(space[0]))
end

return M
