-- Result pages that a server cannot make, or that do not belong together: asked for smaller, or an
-- err that says so, and never a cell lost.

local cjson = require "cjson"
local core = require "taskclient.core"
local client_module = require "taskclient.client"
local fast = require "spec.support.fast"
local fault = require "spec.support.fault"
local process = require "spec.support.process"
local results = require "taskclient.linkis.results"
local retry = require "taskclient.rpc.retry"

local FOLDER = "file:///result/12"

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

local function page(rows, more)
  local data = {
    type = "2", totalPage = 0, totalLine = #rows, page = 1, totalColumn = 2,
    metadata = { { columnName = "id", dataType = "int", comment = "" },
                 { columnName = "name", dataType = "string", comment = "" } },
    fileContent = rows,
  }
  for name, value in pairs(more or {}) do data[name] = value end
  return fault.linkis((cjson.encode(data):gsub('"fileContent":{}', '"fileContent":[]')))
end

local function rows_from(first, last)
  local rows = {}
  for i = first, last do rows[#rows + 1] = { tostring(i), "name " .. i } end
  return rows
end

local function leaf(name)
  return { name = name, path = FOLDER .. "/" .. name, isLeaf = true, children = cjson.null,
           properties = { size = "7900", modifytime = "1657113288360" }, parentPath = FOLDER }
end

local function tree(...)
  local children = {}
  for i, name in ipairs { ... } do children[i] = leaf(name) end
  return fault.linkis { dirFileTrees = { name = "12", path = FOLDER, properties = cjson.null,
    children = children, isLeaf = false, parentPath = cjson.null } }
end

local function task(fields)
  local record = { taskID = 12, status = "Succeed", resultLocation = FOLDER,
                   executeApplicationName = "spark", requestApplicationName = "nightly" }
  for name, value in pairs(fields or {}) do record[name] = value end
  return { match = "/jobhistory/12/get", reply = fault.linkis { task = record } }
end

describe("result pages", function()
  local fs, dir, job

  setup(function()
    fs, dir = fault.start(), process.tempdir()
  end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  before_each(function()
    local client = assert(core.client("linkis",
      { url = fs.url, max_body = 40000, fields = { service = "linkis", budget = retry.budget() } },
      client_module.class {}))
    job = core.job(client, {}, { id = 12, client = client })
  end)

  local function script(rules, names)
    local all = { task(), { match = "/getDirFileTrees", reply = tree((table.unpack or unpack)(
      names or { "_0.dolphin" })) } }
    for _, rule in ipairs(rules or {}) do all[#all + 1] = rule end
    fs:script(all)
  end

  local function open_page(n, reply, times)
    return { match = "/openFile.*[?&]page=" .. n .. "&", reply = reply, times = times }
  end

  local function first_set() return assert(results.list(job))[1] end

  local function all(cursor)
    local rows = {}
    for row in cursor do rows[#rows + 1] = row end
    return rows
  end

  local OOM = fault.linkis("{}", { status = 1, http = 500,
    message = "java.lang.OutOfMemoryError: heap space" })
  local GATEWAY = fault.http(504, "<html>504</html>", { "Content-Type: text/html" })
  local CUT = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"status\":0,\"dat\r\n"
  local HEAVY = {
    ["a server out of memory"] = { { "read" }, { "send", OOM } },
    ["a proxy out of patience"] = { { "read" }, { "send", GATEWAY } },
    ["a reply that is cut"] = { { "read" }, { "send", CUT }, { "fin" } },
  }
  for name, steps in pairs(HEAVY) do
    it("come in smaller pages where one is too heavy, after a few tries: " .. name, function()
      script {
        { match = "pageSize=20&", (table.unpack or unpack)(steps) },
        { match = "page=1&pageSize=2&", reply = page(rows_from(1, 2)) },
        { match = "page=2&pageSize=2&", reply = page(rows_from(3, 3)) },
        { match = "pageSize=2&", reply = page {} },
      }
      assert.are.same(rows_from(1, 3), fast.run(20, function()
        return all(first_set():rows { page_size = 20 })
      end))
      assert.is_true(#fs:requests "pageSize=20&" <= retry.ATTEMPTS)
    end)

    it("leave a hint where none is light enough: " .. name, function()
      script { { match = "/openFile", (table.unpack or unpack)(steps) } }
      local cursor = first_set():rows { page_size = 20 }
      local row, err = fast.run(100, function() return cursor:read() end)
      assert.is_nil(row)
      assert.matches("page of %d+ rows", err.hint)
      assert.matches("page_size", err.hint, 1, true)
    end)
  end

  it("are of their size again when it was not their weight", function()
    script({ { match = "/openFile", times = 7 * retry.ATTEMPTS, { "read" },
      { "send", fault.http(502, "restarting") } },
      { match = "page=1&pageSize=20&", reply = page(rows_from(1, 3)) } })
    assert.are.same(rows_from(1, 3), fast.run(20, function()
      return all(first_set():rows { page_size = 20 })
    end))
    assert.is_true(#fs:requests "pageSize=2&" > 0)
  end)

  it("are an error for types never seen, and columns that change", function()
    local function second(reply)
      script { open_page(1, page(rows_from(1, 2))), open_page(2, reply) }
      local cursor = first_set():rows { page_size = 2 }
      local row, err
      repeat row, err = cursor:read() until not row
      return err
    end
    local err = second(page(rows_from(3, 3), { metadata = {
      { columnName = "name", dataType = "string" }, { columnName = "id", dataType = "int" } } }))
    assert.are.equal("protocol", err.kind)
    assert.is_truthy(err.message:find("other columns", 1, true))
    assert.are.equal("protocol", second(page(rows_from(3, 3), { type = "6" })).kind)
    assert.are.equal("protocol", second(fault.linkis "null").kind)
    script { { match = "/openFile", reply = fault.linkis "null" } }
    local columns, why = first_set():columns()
    assert.is_nil(columns)
    assert.are.equal("protocol", why.kind)
    script { open_page(1, page(rows_from(1, 2), { type = "stream" })) }
    local rows, lost = first_set():save(dir .. "/stream.txt")
    assert.is_nil(rows)
    assert.are.equal("protocol", lost.kind)
    assert.is_nil(slurp(dir .. "/stream.txt"))
  end)

  it("leave what is asked of the set an err when the server does not answer", function()
    script({ { match = "/openFile", reply = fault.linkis("{}", { status = 1, http = 400,
      message = "NullPointerException" }) } })
    for _, name in ipairs { "type", "null_exact" } do
      local rs = first_set()
      local value, err = rs[name](rs)
      assert.is_nil(value)
      assert.are.equal("service", err.kind)
    end
  end)
end)
