-- Result pages that a server cannot make, or that do not belong together: asked for smaller, or an
-- err that says so, and never a cell lost.

local cjson = require "cjson"
local core = require "taskclient.core"
local client_module = require "taskclient.client"
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

  it("come in smaller pages where one fails by its weight", function()
    local oom = { status = 1, http = 500, message = "java.lang.OutOfMemoryError: heap space" }
    script {
      { match = "pageSize=4&", reply = fault.linkis("{}", oom) },
      { match = "page=1&pageSize=1&", reply = page(rows_from(1, 1)) },
      { match = "page=2&pageSize=1&", reply = page(rows_from(2, 2)) },
      { match = "pageSize=1&", reply = page {} },
    }
    assert.are.same(rows_from(1, 2), all(first_set():rows { page_size = 4 }))
    assert.is_true(#fs:requests "pageSize=4&" <= 8)
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
