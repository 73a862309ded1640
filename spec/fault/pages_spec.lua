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

  it("are an err for the columns and a file where there are none", function()
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

  -- Each way to read is an err of kind "protocol", and no file is left.
  local function is_refused(name, text)
    local path = dir .. "/odd.csv"
    local function told(value, err)
      assert.is_nil(value, name)
      assert.equal("protocol", err.kind, name)
      assert.matches(text, err.message, 1, true, name)
    end
    for _, how in ipairs { "rows", "records" } do
      local rs = first_set()
      local cursor = rs[how](rs, { page_size = 2 })
      local row, err
      repeat row, err = cursor:read() until not row
      told(row, err)
    end
    for _, format in ipairs { "csv", "tsv", "jsonl" } do
      told(first_set():save(path, { format = format, page_size = 2, overwrite = true }))
      assert.is_nil(slurp(path))
    end
  end

  local COLUMNS = '[{"columnName":"a","dataType":"int"},{"columnName":"b","dataType":"string"}]'

  local function raw(rows, columns, kind)
    return fault.linkis(('{"type":"%s","totalLine":2,"metadata":%s,"fileContent":%s}'):format(
      kind or "2", columns or COLUMNS, rows))
  end

  it("are an err where a row has not the columns' number of cells", function()
    local tail = (',["9999999999","long enough for any short way"]'):rep(3)
    for cells, row in pairs { [1] = '["3"]', [3] = '["3","4","5"]', [4] = '["3",null,"5","6"]' } do
      local text = (" has %d cells for 2 columns"):format(cells)
      local odd = "[" .. row .. "]"
      script { open_page(1, raw(odd)) }
      is_refused("the only row", text)
      script { open_page(1, raw('[["1","2"],' .. row .. "]")) }
      is_refused("the last row", text)
      script { open_page(1, raw("[" .. row .. tail .. "]")) }
      is_refused("a row before others", text)
      script { open_page(1, raw '[["1","2"],["x","y"]]'), open_page(2, raw(odd)) }
      is_refused("a row of a later page", text)
    end
  end)

  it("are an err where they hold no rows", function()
    local PAGES = { "null", "{}", "[]", '{"type":"2","metadata":' .. COLUMNS .. "}" }
    for _, rows in ipairs { "null", '"x"', "{}", "[null]", '["x"]', "7" } do
      PAGES[#PAGES + 1] = ('{"type":"2","metadata":%s,"fileContent":%s}'):format(COLUMNS, rows)
    end
    for _, data in ipairs(PAGES) do
      script { open_page(1, fault.linkis(data)) }
      is_refused(data, "")
      script { open_page(1, raw '[["1","2"],["x","y"]]'), open_page(2, fault.linkis(data)) }
      is_refused("later: " .. data, "")
    end
  end)

  it("are an err where a later one has other columns, or is of another type", function()
    local first, rows = open_page(1, raw '[["1","2"],["x","y"]]'), '[["3","4"]]'
    for _, columns in ipairs { "null", '"NULL"', "[]", '[{"columnName":"a","dataType":"int"}]',
      '[{"columnName":"b","dataType":"string"},{"columnName":"a","dataType":"int"}]',
      '[{"columnName":"a","dataType":"int"},{"columnName":"b","dataType":"double"}]',
      COLUMNS:sub(1, -2) .. ',{"columnName":"c","dataType":"int"}]' } do
      script { first, open_page(2, raw(rows, columns)) }
      is_refused(columns, "the page with row 3 has other columns")
    end
    script { first, open_page(2, raw(rows, nil, "1")) }
    is_refused("text", "the page with row 3 has another type")
    script { open_page(1, raw(rows, nil, "6")) }
    is_refused("unknown", "the result set is of the type '6'")
  end)

  it("of columns are an err where they are too few, too many, or others further down", function()
    local function part(page_of_rows, n, rows, names)
      local columns = {}
      for i, name in ipairs(names) do columns[i] = ('{"columnName":"%s"}'):format(name) end
      return { match = ("page=%d&.*columnPage=%d&"):format(page_of_rows, n),
        reply = raw(rows, "[" .. table.concat(columns, ",") .. "]") }
    end
    local function wide(total)
      return { match = "/openFile", reply = fault.linkis {
        type = "2", column_limit_display = true, totalColumn = total } }
    end
    script { part(1, 1, '[["1","2"]]', { "a", "b" }), wide(3) }
    is_refused("fewer", "have 2 columns in place of 3")
    script { part(1, 1, '[["1","2"]]', { "a", "b" }), wide(1) }
    is_refused("more", "have 2 columns in place of 1")
    script { part(1, 1, '[["1","2"],["3","4"]]', { "a", "b" }),
      part(2, 1, '[["5","6"]]', { "b", "a" }), wide(2) }
    is_refused("later", "the page with row 3 has other columns")
    script { part(1, 1, '[["1","2"],["3"]]', { "a", "b" }), wide(2) }
    is_refused("cells", "row 2 of the page has 1 cells for 2 columns")
  end)

  it("of a text lose no cell either", function()
    script { open_page(1, raw('[["one","x"],["two"]]', '"NULL"', "1")) }
    local rows, err = first_set():save(dir .. "/odd.txt")
    assert.is_nil(rows)
    assert.equal("protocol", err.kind)
    assert.matches("row 1 has 2 cells", err.message)
    assert.matches("rs:rows", err.hint, 1, true)
    assert.same({ { "one", "x" }, { "two" } }, all(first_set():rows()))
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
