-- Result pages that a server cannot make, or that do not belong together: asked for smaller, or an
-- err that says so, and never a cell lost.

local fast = require "spec.support.fast"
local fault = require "spec.support.fault"
local process = require "spec.support.process"
local result_set = require "spec.support.result_set"
local retry = require "taskclient.rpc.retry"

local slurp, page, rows_from, open_page, all = result_set.slurp, result_set.page,
  result_set.rows_from, result_set.open_page, result_set.all

describe("result pages", function()
  local fs, dir, job

  setup(function()
    fs, dir = fault.start(), process.tempdir()
  end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  before_each(function() job = result_set.job(fs) end)

  local function script(rules, names) result_set.script(fs, rules, names) end

  local function first_set() return result_set.first(job) end

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
