-- Ten thousand random bulk load specs arrive unchanged: what a form's server
-- decodes is what the caller gave. TASKCLIENT_SEED repeats a run.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local taskclient = require "taskclient"

local SPECS, BATCH, AT_ONCE = 10000, 1000, 20
local SEED = tonumber(os.getenv "TASKCLIENT_SEED") or os.time()

local random = math.random

-- ---- random values ---------------------------------------------------------

local PIECES = { "&", "=", "+", "%", "%41", "%zz", '"', "'", "\\", ";", "#", "?", "/", " ", "\t",
  "\r\n", "\n", "\0", "\127", "[]", "{}", "a&b=c", "||", "|", "null", "true", "\\u0041" }

local function code_point()
  local top = ({ 0x7F, 0x7FF, 0xFFFF, 0x10FFFF })[random(4)]
  local c = random(1, top)
  return c >= 0xD800 and c <= 0xDFFF and 0xFFFD or c
end

local function random_text(most)
  local parts = {}
  for i = 1, random(1, most) do
    parts[i] = random(3) == 1 and utf8.char(code_point()) or PIECES[random(#PIECES)]
  end
  return table.concat(parts)
end

local random_value

local function random_array(depth)
  local list = taskclient.array {}
  for i = 1, random(0, 4) do list[i] = random_value(depth) end
  return list
end

local function random_object(depth)
  local t = {}
  for _ = 1, random(0, 4) do t[random_text(3)] = random_value(depth) end
  return t
end

local SCALARS = {
  function() return random_text(6) end,
  function() return random(math.mininteger, math.maxinteger) end,
  function() return random(-9, 9) end,
  function() return (random() - 0.5) * 10.0 ^ random(-300, 300) end,
  function() return random(2) == 1 end,
  function() return core.null end,
  function() return "" end,
}

random_value = function(depth)
  local kind = random(depth > 0 and 10 or 7)
  if kind > 7 then return (kind > 8 and random_array or random_object)(depth - 1) end
  return SCALARS[kind]()
end

-- a few are as deep as JSON may be here
local function nested(depth)
  local value = random_text(2)
  for _ = 1, depth do value = random(2) == 1 and taskclient.array { value } or { a = value } end
  return value
end

local function random_columns()
  local list = {}
  for i = 1, random(0, 5) do list[i] = random_text(3) end
  return list
end

local function random_spec(i)
  local reader, writer = random_object(4), random_object(4)
  reader.column, writer.columns = random_columns(), random_columns()
  reader.filePath = random_text(5)
  if i % 50 == 0 then reader.deep = nested(100) end
  return {
    src = tostring(i), dst = random_text(8), reader = reader, writer = writer,
    instances = random(1, 2 ^ 40), driver_spec = ({ "small", "medium", "xlarge" })[random(4)],
    file_type = random(2) == 1 and random_text(3) or nil,
    spark = random(2) == 1 and random_text(8) or nil,
    -- a NUL in a field's name is refused
    extra = random(2) == 1 and { ["x" .. random_text(4):gsub("%z", "")] = random_text(4),
      b = random_text(2) } or nil,
  }
end

-- ---- the other side --------------------------------------------------------

local BYTES = {} -- "%2b" and "%2B" -> "+"
for byte = 0, 255 do
  BYTES[("%%%02x"):format(byte)], BYTES[("%%%02X"):format(byte)] = string.char(byte),
    string.char(byte)
end

local function unescape(text) return (text:gsub("+", " "):gsub("%%%x%x", BYTES)) end

local function decoded(body)
  local fields = {}
  for pair in body:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=([^=]*)$"
    name = unescape(name)
    assert(fields[name] == nil, "a field stands twice: " .. name)
    fields[name] = unescape(value)
  end
  return fields
end

local function is_array(t)
  return getmetatable(t) == core.array_mt or t[1] ~= nil
end

-- Deep equality, an integer being no float and an empty array no object.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and (math.type(a) == math.type(b) or a == math.floor(a))
  end
  if is_array(a) ~= is_array(b) then return false end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local MEMBERS = { src = "src", dst = "dst", driver_spec = "driverSpec", file_type = "fileType",
  spark = "sparkAdditionalParams" }

-- The name of the first thing that differs, or nil.
local function difference(spec, fields)
  for ours, theirs in pairs(MEMBERS) do
    local expected = spec[ours] or ours == "driver_spec" and "large" or nil
    if fields[theirs] ~= expected then return theirs end
    fields[theirs] = nil
  end
  taskclient.array(spec.reader.column)
  taskclient.array(spec.writer.columns)
  if not same(spec.reader, core.decode(fields.readerConfig)) then return "readerConfig" end
  if not same(spec.writer, core.decode(fields.writerConfig)) then return "writerConfig" end
  if fields.instances ~= ("%d"):format(spec.instances) then return "instances" end
  fields.readerConfig, fields.writerConfig, fields.instances = nil, nil, nil
  if not same(spec.extra or {}, fields) then return "extra" end
end

-- ---- the run ---------------------------------------------------------------

describe("random bulk load specs", function()
  local fs
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)

  local function submit_all(client, specs)
    local turn = 0
    local function worker()
      while turn < #specs do
        turn = turn + 1
        assert(client:submit(specs[turn]))
      end
    end
    taskclient.run(function()
      local tasks = {}
      for i = 1, AT_ONCE do tasks[i] = taskclient.spawn(worker) end
      for _, task in ipairs(tasks) do taskclient.join(task) end
    end)
  end

  it(("arrive unchanged, each once: %d of them"):format(SPECS), function()
    math.randomseed(SEED)
    local client = assert(taskclient.lindorm { url = fs.url })
    for first = 1, SPECS, BATCH do
      local specs = {}
      for i = 1, BATCH do specs[i] = random_spec(first + i - 1) end
      fs:script { { match = "^POST", reply = fault.lindorm { message = "proc-1" } } }
      submit_all(client, specs)
      local requests = fs:requests()
      assert.equals(BATCH, #requests)
      for _, request in ipairs(requests) do
        local fields = decoded(request.body)
        local i = tonumber(fields.src) - first + 1
        local name = difference(specs[i], fields)
        assert.is_nil(name, ("spec %d of seed %d differs in %s"):format(first + i - 1, SEED,
          tostring(name)))
        specs[i] = {}
      end
    end
  end)
end)
