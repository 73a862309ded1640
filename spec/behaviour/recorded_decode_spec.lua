-- Every recorded reply of a real 1.8.0, fed to the client's operation of its path
-- by the fault server: what it makes of each stands in a table
-- (spec/support/recorded_outcomes.lua), and is what the reply itself says.

local cjson = require "cjson"
local core = require "taskclient.core"
local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local outcomes = require "spec.support.recorded_outcomes"
local recording = require "spec.support.recording"

local folder = recording.folder()
if not folder then
  describe("recorded replies", function()
    pending "are decoded: there are no recordings here"
  end)
  return
end

local OPERATIONS = core.operations "linkis"

local function pattern_of(path)
  return "^/api/rest_j/v1" .. path:gsub("%p", "%%%0"):gsub("%%{id%%}", "([^/]+)") .. "$"
end

local PATTERNS = {}
for name, row in pairs(OPERATIONS) do PATTERNS[name] = pattern_of(row.path) end

-- The operation of a recorded path; paths that no client asks for are given to a
-- plain read.
local function operation_of(request)
  local path = request.target:match "^[^?]*"
  for name, pattern in pairs(PATTERNS) do
    local id = path:match(pattern)
    if id then return name, id end
  end
  return "governanceStationAdmin"
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local SAMPLE = { id = "1", text = "x", integer = 1, boolean = true }

-- The recorded arguments as far as the operation knows them, others where it
-- must have one.
local function args_of(request, name, id)
  local query, args = {}, {}
  for key, value in (request.target:match "%?(.*)$" or ""):gmatch "([^&=]+)=([^&]*)" do
    query[key] = unescape(value)
  end
  for _, param in ipairs(OPERATIONS[name].params) do
    local given = query[param.name]
    if param.type == "text" then args[param.name] = given ~= "" and given or nil end
    if param.required and args[param.name] == nil then
      args[param.name] = SAMPLE[param.type] or "x"
    end
  end
  if args.id then
    args.id = id and (id:match "^exec_id[%w_.:-]+$" or id:match "^%d+$") or SAMPLE.id
  end
  if OPERATIONS[name].verb == "POST" then args.body = "{}" end
  return args
end

-- The reply's bytes again; its length is told anew.
local function bytes_of(reply)
  local headers = {}
  for _, header in ipairs(reply.headers) do
    local name = header.name:lower()
    if name ~= "content-length" and name ~= "transfer-encoding" and name ~= "connection" then
      headers[#headers + 1] = header.name .. ": " .. header.value
    end
  end
  return fault.http(reply.code, reply.body, headers)
end

local function streams(name)
  return name:find "Excel" or name:find "^download"
end

-- What the reply itself says, found without the client: "ok" or a kind.
local function told(reply, name)
  local disposition
  for _, header in ipairs(reply.headers) do
    disposition = disposition or header.name:lower() == "content-disposition"
  end
  if reply.body == "" then return reply.code == 200 and "protocol" or "http" end
  local fine, value = pcall(cjson.decode, reply.body)
  if streams(name) and reply.code == 200 and disposition then return "ok" end
  if not fine then
    if reply.body:find "^error%(" then return "service" end
    return reply.code == 200 and "protocol" or "http"
  end
  if value.status == -1 or reply.code == 401 then return "auth" end
  if value.data == nil or type(value.data) == "table" and value.status >= 100 then return "http" end
  return value.status == 0 and "ok" or "service"
end

local exchanges = {}
for _, name in ipairs(recording.names(folder)) do
  for n, step in ipairs(recording.steps(folder, name)) do
    if type(step) == "table" and step.reply and not step.reply.cut then
      step.recording, step.n = name, n
      step.operation, step.id = operation_of(step.request)
      exchanges[#exchanges + 1] = step
    end
  end
end

-- "ok ok auth service:80010" for a recording
local function add_word(words, data, err)
  local word = data ~= nil and "ok" or err.kind .. (err.code and ":" .. err.code or "")
  local last = words[#words]
  if last and last.word == word then
    last.n = last.n + 1
  else
    words[#words + 1] = { word = word, n = 1 }
  end
end

local function text_of(words)
  local parts = {}
  for i, entry in ipairs(words) do
    parts[i] = entry.word .. (entry.n > 1 and "*" .. entry.n or "")
  end
  return table.concat(parts, " ")
end

describe("recorded replies", function()
  local fs
  setup(function()
    fs = fault.start()
    local rules = {}
    for i, step in ipairs(exchanges) do
      rules[i] = { match = (" /r%d/"):format(i), reply = bytes_of(step.reply) }
    end
    fs:script(rules)
  end)
  teardown(function() fs:stop() end)

  local function client_of(i)
    return linkis.client(fs, { url = ("%s/r%d"):format(fs.url, i) })
  end

  it("are what they say: data, a refusal, no session, or no answer", function()
    local by_recording = {}
    for i, step in ipairs(exchanges) do
      local client = client_of(i)
      local data, err = client:call(step.operation, args_of(step.request, step.operation, step.id),
        { retry = false })
      local what = step.recording .. " step " .. step.n .. ", " .. step.request.line
      assert.equals(told(step.reply, step.operation), data ~= nil and "ok" or err.kind, what)
      if data == nil then
        assert.is_string(tostring(err), what)
        assert.is_true(err.http_status == step.reply.code, what)
      elseif not streams(step.operation) then
        local value = core.decode(step.reply.body)
        assert.same(value.data, data, what)
      end
      by_recording[step.recording] = by_recording[step.recording] or {}
      add_word(by_recording[step.recording], data, err)
      client:close()
    end
    local n = 0
    for name, words in pairs(by_recording) do
      assert.equals(outcomes[name], text_of(words), name)
      n = n + 1
    end
    for name in pairs(outcomes) do assert(by_recording[name], name .. " was not recorded") end
    assert.is_true(n > 100)
  end)

  -- state by the recorded word, told once more by hand
  local WORDS = { Inited = "queued", Scheduled = "queued", Running = "running",
    Succeed = "succeeded", Failed = "failed", Cancelled = "cancelled" }

  it("of tasks give their state, progress, error and printed form", function()
    local seen, codes, messages = {}, {}, {}
    for i, step in ipairs(exchanges) do
      local value = step.operation == "get" and core.decode(step.reply.body)
      local task = value and type(value.data) == "table" and value.data.task
      if task then
        local client = client_of(i)
        local job = client:attach(task.taskID)
        local state, native = job:status()
        assert.same({ WORDS[task.status], task.status }, { state, native })
        seen[state] = true
        assert.is_truthy(tostring(assert(job:info())):find("paramsJson = (hidden)", 1, true))
        local err = job:error(job:info())
        assert.equals(state == "failed" or state == "cancelled", err ~= nil)
        if err then
          codes[err.code or "none"], messages[err.message] = err.message, err.code or false
          assert.is_nil(err.message:find "^21304")
        end
        local again = client:attach(job:handle())
        assert.equals(job.id, again.id)
        client:close()
      end
    end
    for _, state in pairs(WORDS) do
      assert.is_true(seen[state] or state == "queued", "no task is " .. state)
    end
    assert.matches("^PythonExecuteError: Traceback", codes[60002])
    assert.equals(21304, messages["run shell failed with error:\n sh: 1: nosuchcommand: not found"])
    assert.equals(21304, messages["Table 'linkis.nosuch_table' doesn't exist"])
    assert.is_string(codes[31001])
    assert.is_string(codes[31002])
    assert.is_string(codes.none)
  end)

  it("of lists give each task once, and its state", function()
    for i, step in ipairs(exchanges) do
      local value = step.operation == "list" and core.decode(step.reply.body)
      local tasks = value and type(value.data) == "table" and value.data.tasks
      if tasks then
        local client, n, seen = client_of(i), 0, {}
        local cursor = client:list { page_size = math.max(#tasks, 1) }
        for _ = 1, #tasks do
          local record = cursor:read()
          if not record then break end
          assert.is_nil(seen[record.taskID])
          seen[record.taskID], n = true, n + 1
          assert.is_string(tostring(record))
        end
        assert.is_true(n <= #tasks and (n > 0 or #tasks == 0))
        client:close()
      end
    end
  end)

  it("of logs and result files are pages", function()
    local logpage = require "taskclient.linkis.logs.page"
    local pages, logs = 0, 0
    for i, step in ipairs(exchanges) do
      local value = step.reply.code == 200 and core.decode(step.reply.body)
      local data = type(value) == "table" and type(value.data) == "table" and value.status == 0
        and value.data
      if data and step.operation == "log" then
        local from = tonumber(step.request.target:match "fromLine=(%d+)") or 0
        local size = tonumber(step.request.target:match "size=(%-?%d+)") or 100
        local page = logpage.parse(data, from, size < 0 and 10000 or size)
        assert.is_true(page.advance >= 0 and #page.lines <= page.advance + 60)
        assert.is_false(page.odd and step.request.target:find "distinctLevel=false" ~= nil)
        logs = logs + 1
      elseif data and step.operation == "openFile" then
        local client = client_of(i)
        local call = client:start("openFile", { path = "x" })
        while not call:done() do core.step(0.2) end
        local page = assert(call:page {})
        assert.equals(#(type(data.fileContent) == "table" and data.fileContent or {}), page.n)
        pages = pages + 1
        client:close()
      end
    end
    assert.is_true(pages > 15 and logs > 40, pages .. " pages, " .. logs .. " logs")
  end)
end)
