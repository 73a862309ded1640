-- JSON going out of the face: keys in order, ready pieces passed through, numbers
-- exactly as given. Reading is lua-cjson's. Knows nothing of the wire.

local cjson = require "cjson.safe"
local each = require "taskclient.compat".each

local M = { null = cjson.null, decode = cjson.decode }

local array_mt, raw_mt = {}, {}

---Marks a table as an array, also when it is empty.
function M.array(t) return setmetatable(t or {}, array_mt) end

---A piece of JSON text that is written as it is.
function M.raw(text) return setmetatable({ text = text }, raw_mt) end

---A number that shows its fraction, as a Java double does: 0.0, 1.0.
function M.double(n)
  return M.raw(n % 1 == 0 and ("%.1f"):format(n) or ("%.14g"):format(n))
end

---True for what cjson made of a JSON array.
function M.is_array(t)
  return type(t) == "table" and (t[1] ~= nil or getmetatable(t) == array_mt)
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\b"] = "\\b", ["\f"] = "\\f" }

local function escape(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end

-- Back ends write what lies beyond U+FFFF as a surrogate pair (protocols 1.1).
local function surrogate(c)
  local a, b, d, e = c:byte(1, 4)
  local code = (a - 240) * 262144 + (b - 128) * 4096 + (d - 128) * 64 + (e - 128) - 65536
  return ("\\u%04X\\u%04X"):format(55296 + math.floor(code / 1024), 56320 + code % 1024)
end

---JSON text with what lies beyond U+FFFF escaped.
function M.escaped(text)
  if not text:find("\240", 1, true) then return text end
  return (text:gsub("\240[\128-\191][\128-\191][\128-\191]", surrogate))
end

function M.text(s)
  return '"' .. M.escaped((s:gsub('[%c"\\]', escape))) .. '"'
end

-- Members in the order of a real server's; the others follow by name.
local rank = {}
for name in ([[timestamp method status error message data metadata totalPage totalColumn totalLine
  page
  type fileContent display_prohibited taskID instance execId umUser executeUser engineInstance
  executionCode progress logPath resultLocation createdTime updatedTime engineType errCode errDesc
  executeApplicationName requestApplicationName runType paramsJson costTime strongerExecId
    sourceJson
  sourceTailor engineStartTime labels canRetry observeInfo isReuse requestStartTime requestEndTime
  requestSpendTime metrics subJobs name path properties children]]):gmatch "%S+" do
  rank[#rank + 1], rank[name] = name, #rank + 1
end

local function before(a, b)
  local ra, rb = rank[a] or 1000, rank[b] or 1000
  if ra ~= rb then return ra < rb end
  return a < b
end

local write

local function write_object(t, out)
  local keys = {}
  for key in each(t) do keys[#keys + 1] = tostring(key) end
  table.sort(keys, before)
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and "," or "") .. M.text(key) .. ":"
    write(t[key], out)
  end
  out[#out + 1] = "}"
end

local function write_array(t, out)
  out[#out + 1] = "["
  for i = 1, #t do
    if i > 1 then out[#out + 1] = "," end
    write(t[i], out)
  end
  out[#out + 1] = "]"
end

local function number(n)
  if n % 1 == 0 and math.abs(n) < 1e15 then return ("%d"):format(n) end
  local short = ("%.14g"):format(n)
  return tonumber(short) == n and short or ("%.17g"):format(n)
end

function write(value, out)
  local kind = type(value)
  if kind == "string" then out[#out + 1] = M.text(value)
  elseif kind == "number" then out[#out + 1] = number(value)
  elseif kind ~= "table" then out[#out + 1] = value == M.null and "null" or tostring(value)
  elseif getmetatable(value) == raw_mt then out[#out + 1] = value.text
  elseif M.is_array(value) then write_array(value, out)
  else write_object(value, out) end
end

function M.encode(value)
  local out = {}
  write(value, out)
  return table.concat(out)
end

return M
