-- No server can keep a client busy: what has no end in its answers ends here, by
-- what they bring and not by the caller's deadline alone.

local cjson = require "cjson"
local core = require "taskclient.core"
local fault = require "spec.support.fault"
local process = require "spec.support.process"
local taskclient = require "taskclient"

describe("against a server whose answers have no end", function()
  local fs, client
  setup(function() fs = fault.start() end)
  teardown(function() fs:stop() end)
  before_each(function()
    client = assert(taskclient.linkis { url = fs.url, user = "hadoop", token = "t" })
  end)
  after_each(function() client:close() end)

  local EXEC = "exec_id018018linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"

  local function record(id, status)
    return { taskID = id, status = status or "Running", progress = "0.5", strongerExecId = EXEC,
             createdTime = math.floor(core.time() * 1000), umUser = "hadoop", sourceJson = "{}",
             logPath = "file:///log", resultLocation = "file:///result" }
  end

  -- These answers, each so many times; then the server is away, which ends a loop that nothing
  -- else has ended.
  local function serve(answers, most)
    local rules = {}
    for i, answer in ipairs(answers) do
      rules[i] = { match = answer[1], times = most or 400, reply = answer[2] }
    end
    rules.default = { { "read" }, { "send", fault.boot(404) } }
    fs:script(rules)
  end

  it("the list ends when its pages bring nothing new, whatever number it names", function()
    for _, total in ipairs { 1e12, 500 } do
      serve { { "/jobhistory/list", fault.linkis { tasks = { record(3), record(2), record(1) },
                                                   totalPage = total } } }
      local ids, cursor = {}, client:list { page_size = 3 }
      while true do
        local task, err = cursor:read()
        assert.is_nil(err)
        if not task then break end
        ids[#ids + 1] = tonumber(task.taskID)
      end
      assert.same({ 3, 2, 1 }, ids)
      assert.is_true(#fs:requests() < 10, #fs:requests() .. " requests")
    end
  end)

  it("the list ends where its reader closes it", function()
    serve { { "/jobhistory/list", fault.linkis { tasks = { record(2), record(1) },
                                                 totalPage = 500 } } }
    local cursor = client:list { page_size = 2 }
    assert.equal(2, tonumber(cursor:read().taskID))
    assert.equal(cursor.close, getmetatable(cursor).__close) -- for `local cursor <close>`
    cursor:close()
    assert.is_nil(cursor:read())
    assert.equal(1, #fs:requests())
  end)

  it("many states are asked for one by one where the list repeats itself", function()
    local jobs = {}
    for id = 1, 3 do jobs[id] = client:attach(id) end
    serve {
      { "/jobhistory/list%?", fault.linkis { tasks = { record(9), record(8) }, totalPage = 1e9 } },
      { "/jobhistory/%d+/get", fault.linkis { task = record(1) } },
    }
    client:states(jobs)
    assert.is_true(#fs:requests() < 30, #fs:requests() .. " requests")
  end)

  it("a log that calls for more and brings nothing is asked for like a quiet one", function()
    for _, log in ipairs {
      { log = { "", "", "", "" }, fromLine = 1e9 }, { log = { "", "", "", "" }, fromLine = 1e15 },
      { log = { "", "", "", "a\nb" }, fromLine = 5000 }, { log = {}, fromLine = 1e6 },
      { log = { "", "", "", "a\nb" }, fromLine = -5 },
    } do
      log.execID = EXEC
      serve { { "/7/get", fault.linkis { task = record(7) } }, { "/log%?", fault.linkis(log) } }
      local cursor = client:attach(7):logs { follow = true, timeout = 1.5 }
      local line, err
      repeat line, err = cursor:read() until line == nil
      assert.equal("timeout", err.kind, tostring(err))
      assert.is_true(#fs:requests "/log%?" < 60, #fs:requests "/log%?" .. " requests")
      cursor = client:attach(7):logs()
      repeat line, err = cursor:read() until line == nil
      assert.is_nil(err)
      assert.is_true(#fs:requests "/log%?" < 120, #fs:requests "/log%?" .. " requests")
    end
  end)

  local function result_set(answer)
    serve {
      { "/7/get", fault.linkis { task = record(7, "Succeed") } },
      { "/getDirFileTrees", fault.linkis { dirFileTrees = { name = "r", path = "file:///r",
        isLeaf = false, children = { { name = "_0.dolphin", path = "file:///r/_0.dolphin",
                                       isLeaf = true } } } } },
      { "/openFile", fault.linkis(answer) },
    }
    local list = assert(client:attach(7):results())
    return list[1]
  end

  local function columns_of(n)
    local metadata, row = {}, {}
    for i = 1, n do
      metadata[i] = { columnName = "c" .. i, comment = "", dataType = "string" }
      row[i] = "x"
    end
    return metadata, row
  end

  it("columns end where a page of them is the last one again", function()
    local metadata, row = columns_of(3)
    local rs = result_set { type = "2", metadata = metadata, fileContent = { row }, totalLine = 1,
                            column_limit_display = true }
    local first, err = rs:rows():read()
    assert(first, err)
    assert.equal(3, #first)
    assert.is_true(#fs:requests "/openFile" < 12, #fs:requests "/openFile" .. " requests")
  end)

  it("columns without end are refused, not gathered", function()
    local metadata, row = columns_of(1)
    local rs = result_set { type = "2", metadata = metadata, fileContent = { row }, totalLine = 1,
                            column_limit_display = true, totalColumn = 1e9 }
    local row_read, err = rs:rows():read()
    assert.is_nil(row_read)
    assert.equal("protocol", err.kind)
    assert.truthy(err.message:find("columns", 1, true))
    assert.is_true(#fs:requests "/openFile" < 12, #fs:requests "/openFile" .. " requests")
  end)

  it("rows end where a page is the first one again", function()
    local metadata = columns_of(1)
    local rows = {}
    for i = 1, 10 do rows[i] = { "r" .. i } end
    local rs = result_set { type = "2", metadata = metadata, fileContent = rows, totalLine = 10 }
    local cursor, n, row, err = rs:rows { page_size = 10 }, 0
    repeat
      row, err = cursor:read()
      if row then n = n + 1 end
    until not row
    assert.is_true(n == 10 or err ~= nil, n .. " rows")
    assert.is_true(#fs:requests "/openFile" < 20, #fs:requests "/openFile" .. " requests")
  end)

  it("rows are an err where a page that is served for ever follows honest ones", function()
    local rows = {}
    for i = 1, 10 do rows[i] = { "r" } end
    local metadata = columns_of(1)
    local page = { type = "2", metadata = metadata, fileContent = rows, totalLine = 10 }
    local rs = result_set(page)
    local none = fault.linkis { type = "2", metadata = metadata, totalLine = 0,
                                fileContent = setmetatable({}, cjson.empty_array_mt) }
    fs:script {
      { match = "page=200000001&", times = 1, reply = none }, -- far behind: "it knows pages"
      { match = "/openFile", times = 1000, reply = fault.linkis(page) },
      default = { { "read" }, { "send", fault.boot(404) } },
    }
    local cursor, n, row, err = rs:rows { page_size = 10 }, 0
    repeat
      row, err = cursor:read()
      if row then n = n + 1 end
    until not row
    assert.equal("protocol", err and err.kind, n .. " rows")
    assert.is_true(#fs:requests "/openFile" < 200, #fs:requests "/openFile" .. " requests")
  end)

  it("redirects are followed nowhere, and tried a few times at most", function()
    local dir = process.tempdir()
    fs:script { default = { { "read" }, { "send", fault.http(302, "", { "Location: " .. fs.url
      .. "/again" }) } } }
    for _, ask in ipairs {
      function() return client:attach(7):status() end,
      function() return client:list {}:read() end,
      function() return client:attach(7):logs():read() end,
      function() return client:attach(7):results() end,
      function()
        return client:call("resultsetToExcel", { path = "/r" }, { file = dir .. "/x" })
      end,
    } do
      local value, err = ask()
      assert.is_nil(value)
      assert.equal("http", err.kind, tostring(err))
    end
    os.execute("rm -rf " .. process.quote(dir))
    assert.is_true(#fs:requests() < 40, #fs:requests() .. " requests")
    assert.equal(0, #fs:requests "/again")
  end)
end)
