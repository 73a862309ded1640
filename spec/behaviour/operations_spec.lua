-- The operation table against linkis-wire.md (sections 2.2 and 3), where that is
-- at hand: verbs, paths, query names; and every operation by client:call.
-- TASKCLIENT_SHOW=1 prints the table.

local cjson = require "cjson"
local core = require "taskclient.core"
local servers = require "spec.support.server"
local taskclient = require "taskclient"

local OPERATIONS = core.operations "linkis"

local function reference()
  local path = os.getenv "TASKCLIENT_REFERENCE" or "../shared/reference"
  local file = io.open(path .. "/linkis-wire.md")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- Sections of the reference by number: heading and text.
local function sections_of(text)
  local sections, current = {}, nil
  for line in text:gmatch "[^\n]*" do
    local number, heading = line:match "^##+ ([%d.]+)%.? (.*)$"
    if number then
      current = { heading = heading, lines = {} }
      sections[number:gsub("%.$", "")] = current
    elseif current then
      current.lines[#current.lines + 1] = line
    end
  end
  return sections
end

local function cells_of(line)
  local cells = {}
  for cell in line:gmatch "|([^|]+)" do cells[#cells + 1] = cell:match "^%s*(.-)%s*$" end
  return cells
end

local function add(found, verb, path, query)
  local name = path:match "([^/]+)$"
  found[name] = { verb = verb, path = path, query = query or {} }
end

local function words_of(cell)
  local words = {}
  for word in (cell or ""):gmatch "`(%a[%w]*)`" do words[#words + 1] = word end
  return words
end

-- The rows of a table that begins with "| Query |": the names in the first cell,
-- where all of them are of the newest server.
local function query_table(section)
  local names, inside = {}, false
  for _, line in ipairs(section.lines) do
    if line:find "^| Query" then inside = true
    elseif not line:find "^|" then inside = false
    elseif inside and not line:find "^|%-" then
      for word in cells_of(line)[1]:gmatch "`([%w]+)`" do names[#names + 1] = word end
    end
  end
  return names
end

-- "Query `a` …, `b`" in a section's first lines, and "?a=&b=" in its heading.
local function query_words(section)
  local names = query_table(section)
  for word in section.heading:gmatch "[?&](%a+)=" do names[#names + 1] = word end
  return names
end

local SIMPLE = { "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.12.1",
  "3.12.2", "3.12.3", "3.12.4", "3.12.5" }

local function read_simple(sections, found)
  for _, number in ipairs(SIMPLE) do
    local section = assert(sections[number], number)
    local verb, path = section.heading:match "`(%u+) (/[^`?]+)"
    add(found, verb, path, query_words(section))
    for _, line in ipairs(section.lines) do -- one that a section names by the way
      local other, rest = line:match "`(%u+) (/filesystem/[^`]+%?[^`]+)`"
      if other then
        local words = {}
        for word in rest:gmatch "[?&](%a+)=" do words[#words + 1] = word end
        add(found, other, rest:match "^[^?]+", words)
      end
    end
  end
end

local function read_tables(sections, found)
  for _, line in ipairs(sections["3.10"].lines) do
    local cells = cells_of(line)
    local path = (cells[1] or ""):match "^`(metrics/%a+)`"
    if path then
      add(found, "GET", "/entrance/operation/" .. path, words_of(cells[2]:gsub("%b()", "")))
    end
  end
  for _, line in ipairs(sections["3.11.2"].lines) do
    local cells = cells_of(line)
    local path = (cells[1] or ""):match "^`(/jobhistory/[^`]+)`"
    if path and not path:find "setting/" then
      for name in (path:match "{(.-)}$" or path:match "([^/]+)$"):gmatch "[^,]+" do
        local full = path:gsub("{[^}]+,[^}]+}$", name)
        add(found, "GET", full, full:find "list" and path ~= "/jobhistory/list" and {}
          or words_of(cells[2]:gsub("%b()", "")))
      end
    end
  end
  for _, line in ipairs(sections["3.12.6"].lines) do
    local cells = cells_of(line)
    for verb, rest in (cells[1] or ""):gmatch "`(%u+) ([^`]+)`" do
      add(found, verb, "/filesystem/" .. rest:match "^%a+",
        rest:find "?" and { rest:match "?(%a+)=" } or {})
    end
    local verb = (cells[1] or ""):match "^`(POST) "
    for name in (cells[1] or ""):gmatch ", `(%a+)`" do
      if verb then add(found, verb, "/filesystem/" .. name) end
    end
  end
  for _, line in ipairs(sections["2.2"].lines) do
    local name = (cells_of(line)[1] or ""):match "^`([%a-]+)`$"
    if name then add(found, nil, "/user/" .. name) end
  end
end

-- What the reference describes and this client has no call for: uploads.
local LEFT_OUT = { upload = "multipart uploads are not part of the task API" }

local function param_names(row)
  local names = {}
  for _, param in ipairs(row.params) do names[param.name] = true end
  return names
end

describe("the operation table", function()
  if os.getenv "TASKCLIENT_SHOW" then
    it("is printed", function()
      local names = {}
      for name in pairs(OPERATIONS) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local row, params = OPERATIONS[name], {}
        for i, param in ipairs(row.params) do params[i] = param.name end
        print(("%-24s %-4s %-44s %s"):format(name, row.verb, row.path, table.concat(params, " ")))
      end
    end)
  end

  local text = reference()
  if not text then
    pending "is the reference's: it is not at hand here"
    return
  end
  local sections, found = sections_of(text), {}
  read_simple(sections, found)
  read_tables(sections, found)

  it("has every operation of the reference, by its verb and path", function()
    local n = 0
    for name, wanted in pairs(found) do
      local row = OPERATIONS[name]
      if not LEFT_OUT[name] then
        n = n + 1
        assert(row, "no operation " .. name .. " for " .. wanted.path)
        assert.equals(wanted.path, row.path)
        assert.equals(wanted.verb or row.verb, row.verb, name)
      end
    end
    assert.is_true(n >= 40, n .. " operations were found in the reference")
    for name in pairs(OPERATIONS) do assert(found[name], name .. " is not in the reference") end
  end)

  it("has every query name that the reference gives, and invents none", function()
    local n = 0
    for name, wanted in pairs(found) do
      local have = not LEFT_OUT[name] and param_names(OPERATIONS[name]) or {}
      for _, query in ipairs(LEFT_OUT[name] and {} or wanted.query) do
        n = n + 1
        assert(have[query], name .. " lacks " .. query)
      end
    end
    assert.is_true(n >= 50, n .. " query names were found in the reference")
    for name, row in pairs(OPERATIONS) do
      for _, param in ipairs(row.params) do
        local known = text:find("`" .. param.name, 1, true) or text:find(param.name .. "=", 1, true)
          or text:find("{" .. param.name .. "}", 1, true)
        assert(known, name .. ": the reference knows no " .. param.name)
      end
    end
  end)
end)

describe("client:call", function()
  local server, client, job, info, folder

  setup(function()
    server = servers.linkis()
    client = assert(taskclient.linkis {
      url = server.url, user = server.user, password = server.password,
      token = not server.password and server.token or nil,
    })
    job = assert(client:submit { code = "echo 1; echo 2", run_type = "shell", engine = "shell-1" })
    job:wait { timeout = 60, poll = 0.1 }
    info = assert(job:info())
    folder = (info.logPath or ""):match "^(.*/hadoop)/" or "file:///tmp/linkis/hadoop"
  end)
  teardown(function() client:close() end)

  local function json(value) return { body = cjson.encode(value) } end

  local function submit_body(code)
    return json { executionContent = { code = code, runType = "shell" }, params = { variable = {} },
      labels = { engineType = "shell-1", userCreator = server.user .. "-operations" } }
  end

  local function result_file()
    return assert(job:results())[1].path
  end

  -- operation -> its arguments, or a function that gives them
  local CALLS = {
    submit = function() return submit_body "echo a" end,
    execute = function() return submit_body "echo b" end,
    status = function() return { id = job.exec_id, taskID = job.id } end,
    log = function() return { id = job.exec_id, fromLine = 1, size = 5, distinctLevel = true } end,
    progress = function() return { id = job.exec_id } end,
    progressWithResource = function() return { id = job.exec_id } end,
    killJobs = function()
      return { id = job.exec_id, body = '{"idList":[],"taskIDList":[]}' }
    end,
    pause = function() return { id = job.exec_id } end,
    taskinfo = { user = "hadoop" }, runningtask = {},
    get = function() return { id = tostring(job.id) } end,
    list = { pageSize = 2, pageNow = 1 },
    ["list-taskids"] = function() return { taskID = ("%d"):format(job.id) } end,
    listundonetasks = {}, listundone = {},
    ["job-extra-info"] = function() return { jobId = job.id } end,
    governanceStationAdmin = {}, taskCount = {}, engineCount = {},
    getDirFileTrees = function() return { path = info.resultLocation } end,
    openFile = function() return { path = result_file() } end,
    fileInfo = function() return { path = result_file(), pageSize = -1 } end,
    openLog = function() return { path = info.logPath } end,
    isExist = function() return { path = info.logPath } end,
    download = function() return json { path = info.logPath } end,
    getUserRootPath = { pathType = "hdfs" }, heartbeat = {}, userInfo = {}, publicKey = {},
    baseinfo = {}, logout = { body = "{}" },
    login = function() return json { userName = server.user, password = server.password } end,
  }

  -- operation -> what a server that has it may well say no to here
  local MAY_REFUSE = { ["token-login"] = {}, proxy = { proxyUser = "alice" },
    kill = function() return { id = job.exec_id, taskID = job.id } end,
    resultsetToExcel = function() return { path = result_file() } end,
    resultsetsToExcel = function() return { path = info.resultLocation } end,
    ["download-job-list"] = {},
    saveScript = function() return json { path = folder .. "/x.sh", scriptContent = "echo" } end,
    createNewDir = function() return json { path = folder .. "/taskclient_dir" } end,
    createNewFile = function() return json { path = folder .. "/taskclient_dir/x.txt" } end,
    rename = function()
      return json { oldDest = folder .. "/taskclient_dir/x.txt",
        newDest = folder .. "/taskclient_dir/y.txt" }
    end,
    move = function()
      return json { filePath = folder .. "/taskclient_dir/y.txt", newDir = folder }
    end,
    deleteDirOrFile = function() return json { path = folder .. "/taskclient_dir" } end,
  }

  local function arguments(entry) return type(entry) == "function" and entry() or entry end

  it("knows each operation", function()
    for name in pairs(OPERATIONS) do
      assert(CALLS[name] or MAY_REFUSE[name], "nothing is tried with " .. name)
    end
  end)

  local names = {}
  for name in pairs(CALLS) do names[#names + 1] = name end
  table.sort(names, function(a, b) -- the logout last
    if (a == "logout") ~= (b == "logout") then return b == "logout" end
    return a < b
  end)
  for _, name in ipairs(names) do
    it("does " .. name, function()
      if name == "login" and not server.password then return pending "no password" end
      local data, err = client:call(name, arguments(CALLS[name]))
      if err and err.http_status == 404 and not server.sandbox then
        return pending("this server has no " .. name)
      end
      assert.is_nil(err, name .. ": " .. tostring(err))
      assert.is_not_nil(data)
    end)
  end

  it("gives a clear error for what is refused", function()
    for name, entry in pairs(MAY_REFUSE) do
      local data, err = client:call(name, arguments(entry), { retry = false })
      if data == nil then
        assert.is_string(err.kind, name)
        assert.equals(name, err.operation)
        local empty = name == "download-job-list" -- all that was ever seen of it
        assert.is_true(empty or err.kind ~= "protocol", name .. ": " .. tostring(err))
      end
    end
  end)

  it("refuses what no server has", function()
    assert.has_error(function() client:call("nosuch", {}) end)
    assert.has_error(function() client:call("get", { id = "1", nosuch = 1 }) end)
    assert.has_error(function() client:call("get", {}) end)
  end)
end)
