-- Result sets over the wire: every row whatever the paging fields say, broken
-- files and cut replies (protocols 3.12, traps 19 and 25 to 29, 58 to 60).

local cjson = require "cjson"
local core = require "taskclient.core"
local fault = require "spec.support.fault"
local process = require "spec.support.process"
local result_set = require "spec.support.result_set"
local results = require "taskclient.linkis.results"

local slurp, page, rows_from, open_page, all = result_set.slurp, result_set.page,
  result_set.rows_from, result_set.open_page, result_set.all
local task, tree = result_set.task, result_set.tree

describe("result sets", function()
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

  describe("are listed", function()
    it("by number, with their aliases (trap 27)", function()
      script({}, { "_3.dolphin", "_10.dolphin", "_9.dolphin", "1_0.dolphin", "b_1.dolphin" })
      local names, aliases = {}, {}
      for i, rs in ipairs(assert(results.list(job))) do
        names[i], aliases[i] = rs.name, rs.alias or "-"
      end
      assert.are.same({ "1_0", "b_1", "_3", "_9", "_10" }, names)
      assert.are.same({ "1", "b", "-", "-", "-" }, aliases)
      assert.are.equal("result set 1_0", tostring(results.list(job)[1]))
    end)

    it("as an empty list where there is no folder (trap 28)", function()
      fs:script { task(), { match = "/getDir", reply = fault.linkis '{"dirFileTrees":null}' } }
      assert.are.same({}, results.list(job))
      fs:script { task { resultLocation = cjson.null } }
      assert.are.same({}, results.list(job))
    end)

    it("for failed jobs too (trap 58)", function()
      fs:script { task { status = "Failed" }, { match = "/getDir", reply = tree "_0.dolphin" } }
      assert.are.equal(1, #results.list(job))
    end)

    it("or refused with what to set (traps 59, 60)", function()
      fs:script { task(), { match = "/getDir", reply = fault.linkis('{"errorMsg":{"errCode":80010,'
        .. '"desc":"no permission"}}', { status = 1, message = "error code(错误码): 80010, no",
        http = 400 }) } }
      local sets, err = results.list(job)
      assert.is_nil(sets)
      assert.are.equal(80010, err.code)
      assert.is_truthy(err.hint:find("result_path", 1, true))
    end)
  end)

  describe("give rows", function()
    it("until a short page, whatever the paging fields claim (trap 19)", function()
      script {
        open_page(1, page(rows_from(1, 3), { totalPage = 1, totalLine = 3 })),
        open_page(2, page(rows_from(4, 6), { totalPage = 1 })),
        open_page(3, page(rows_from(7, 7))),
      }
      local rows = all(first_set():rows { page_size = 3 })
      assert.are.equal(7, #rows)
      assert.are.same({ "7", "name 7" }, rows[7])
    end)

    it("of a file whose last page is full", function()
      script { open_page(1, page(rows_from(1, 3))), open_page(2, page {}) }
      assert.are.equal(3, #all(first_set():rows { page_size = 3 }))
    end)

    it("with NULL, empty and NULL as text as three things (traps 26, 29)", function()
      script { open_page(1, page { { cjson.null, "" }, { "NULL", "null" } }) }
      local rs = first_set()
      assert.are.same({ { core.null, "" }, { "NULL", "null" } }, all(rs:rows()))
      local asked = fs:requests "openFile"
      assert.is_truthy(asked[1].target:find("nullValue=LINKIS_NULL", 1, true))
      assert.is_true(rs:null_exact())
      assert.are.equal("table", rs:type())
    end)

    it("typed, and as records", function()
      script { open_page(1, page { { "9223372036854775807", "x" } }) }
      local row = first_set():rows { typed = true }:read()
      if math.type then assert.are.equal(9223372036854775807, row[1]) end -- luacheck: ignore 143
      local record = first_set():records():read()
      assert.are.equal("x", record.name)
    end)

    it("again after a cut reply", function()
      local whole = page(rows_from(1, 2))
      script {
        { match = "openFile.*page=1&", times = 1, { "read" }, { "send", whole:sub(1, -20) },
          { "rst" } },
        open_page(1, whole),
      }
      assert.are.equal(2, #all(first_set():rows { page_size = 3 }))
    end)

    it("each once when reading goes on after an error", function()
      local hidden = page(rows_from(7, 9), { display_prohibited = true, en_msg = "too long" })
      script {
        open_page(1, page(rows_from(1, 3))), open_page(2, page(rows_from(4, 6))),
        open_page(3, hidden, 1), open_page(3, page(rows_from(7, 9))),
        open_page(4, page(rows_from(10, 12))), open_page(5, page(rows_from(13, 13))),
      }
      local cursor, rows = first_set():rows { page_size = 3 }, {}
      for i = 1, 6 do rows[i] = assert(cursor:read()) end
      assert.matches("too long", tostring(select(2, cursor:read())))
      for row in cursor do rows[#rows + 1] = row end
      assert.are.same(rows_from(1, 13), rows)
    end)

    it("in smaller pages when they are too large, at the same place", function()
      local big = ("x"):rep(25000)
      local served = {}
      for i = 1, 8 do served[i] = { tostring(i), big } end
      local rules = {}
      local function rule(size, n)
        local rows = {}
        for i = (n - 1) * size + 1, math.min(n * size, 8) do rows[#rows + 1] = served[i] end
        return { match = ("openFile.*page=%d&pageSize=%d&"):format(n, size), reply = page(rows) }
      end
      for n = 1, 2 do rules[#rules + 1] = rule(4, n) end -- over max_body, as two a page
      for n = 1, 4 do rules[#rules + 1] = rule(2, n) end
      for n = 1, 9 do rules[#rules + 1] = rule(1, n) end
      script(rules)
      local ids = {}
      for row in first_set():rows { page_size = 4 } do ids[#ids + 1] = row[1] end
      assert.are.same({ "1", "2", "3", "4", "5", "6", "7", "8" }, ids)
    end)

    it("or an error: rows that are not shown, empty and cut files, 206", function()
      local function failing(reply)
        script { { match = "/openFile", reply = reply } }
        local row, err = first_set():rows():read()
        assert.is_nil(row)
        assert.are.equal(12, err.job_id)
        return err
      end
      local err = failing(fault.linkis { type = "2", display_prohibited = true,
        zh_msg = "太长", en_msg = "a cell is too long" })
      assert.are.equal("service", err.kind)
      assert.is_truthy(err.message:find("a cell is too long", 1, true))
      err = failing(fault.linkis("{}", { status = 1, http = 400,
        message = "IOException: File header type must be dolphin" }))
      assert.is_truthy(err.hint:find("empty", 1, true))
      err = failing(fault.linkis("{}",
        { status = 1, http = 400, message = "NullPointerException" }))
      assert.is_truthy(err.hint:find("cut", 1, true))
      err = failing(fault.linkis("{}", { status = 4, http = 206, message = "51000 empty" }))
      assert.are.equal("service", err.kind)
    end)

    describe("once from a server that knows no pages", function()
      local rows = rows_from(1, 3)

      it("and gives all of them each time", function()
        script { { match = "/openFile", reply = page(rows, { page = 1 }) } }
        assert.are.same(rows, all(first_set():rows { page_size = 3 }))
        local path = dir .. "/nopages.csv"
        assert.are.equal(3, (assert(first_set():save(path, { page_size = 3 }))))
        assert.is_true(#fs:requests "openFile" <= 10)
      end)

      it("or gives its last one for those behind the end", function()
        local last = page(rows_from(4, 6), { page = 2 })
        script { open_page(1, page(rows)), { match = "/openFile", reply = last } }
        assert.are.same(rows_from(1, 6), all(first_set():rows { page_size = 3 }))
        script { { match = "/openFile", reply = page(rows) } }
        assert.are.equal(3, (assert(first_set():save(dir .. "/last.csv", { page_size = 3 }))))
      end)

      it("or an error when it gives no more than asked for", function()
        script {
          { match = "/openFile.*pageSize=4&", reply = page(rows_from(1, 4)) },
          { match = "/openFile", reply = page(rows) },
        }
        local cursor = first_set():rows { page_size = 3 }
        for _ = 1, 3 do assert(cursor:read()) end
        local row, err = cursor:read()
        assert.is_nil(row)
        assert.are.equal("protocol", err.kind)
        assert.is_truthy(err.message:find("rows from 4 on", 1, true))
      end)

      it("but twice when two pages have the same rows", function()
        local same = { { "1", "x" }, { "1", "x" } }
        script {
          open_page(1, page(same)), open_page(2, page(same, { page = 2 })),
          open_page(3, page(same)), open_page(4, page { { "1", "x" } }),
          open_page(1000000000, page {}),
        }
        assert.are.equal(7, #all(first_set():rows { page_size = 2 }))
      end)
    end)

    it("or an error from pages of columns that are not shown, or do not fit", function()
      local wide = fault.linkis { type = "2", column_limit_display = true, totalColumn = 600 }
      script {
        { match = "columnPage=", reply = fault.linkis { type = "2", display_prohibited = true,
          en_msg = "a cell is too long" } },
        { match = "/openFile", reply = wide },
      }
      local row, err = first_set():rows():read()
      assert.is_nil(row)
      assert.are.equal("service", err.kind)
      assert.is_truthy(err.message:find("a cell is too long", 1, true))
      script {
        { match = "columnPage=1&", reply = page(rows_from(1, 1)) },
        { match = "columnPage=2&", reply = page(rows_from(1, 2)) },
        { match = "/openFile", reply = wide },
      }
      assert.are.equal("protocol", (select(2, first_set():rows():read())).kind)
    end)

    it("joined from pages of columns where the server limits them", function()
      local function columns(n)
        local metadata, row = {}, {}
        for i = 1, n do
          metadata[i] = { columnName = "c" .. i, dataType = "string", comment = "" }
          row[i] = "v" .. i
        end
        return fault.linkis { type = "2", metadata = metadata, fileContent = { row },
                              totalLine = 1, totalColumn = 503 }
      end
      script {
        { match = "columnPage=1&", reply = columns(500) },
        { match = "columnPage=2&", reply = columns(3) },
        { match = "/openFile", reply = fault.linkis { type = "2", column_limit_display = true,
          totalColumn = 503, totalLine = 1, en_msg = "too many columns" } },
      }
      local rs = first_set()
      assert.are.equal(503, #rs:rows():read())
      local path = dir .. "/wide.csv"
      assert.are.equal(1, (assert(rs:save(path))))
      local _, commas = slurp(path):gsub(",", "")
      assert.are.equal(2 * 502, commas)
      local record = rs:records():read() -- two columns of one name keep both values
      assert.are.equal("v3", record.c3)
      assert.are.equal("v3", record.c3_2)
    end)

    it("joined from pages of columns up to the one that is not there (206)", function()
      local function part(reply, n)
        return { match = "columnPage=" .. n .. "&", reply = reply }
      end
      script {
        part(page(rows_from(1, 2), { totalColumn = cjson.null }), 1),
        part(page(rows_from(1, 2), { totalColumn = cjson.null }), 2),
        part(fault.linkis("{}", { status = 4, http = 206, message = "Warning code(警告码): 52004" }),
          3),
        { match = "/openFile", reply = fault.linkis { type = "2", column_limit_display = true } },
      }
      local rows = all(first_set():rows())
      assert.are.same({ { "1", "name 1", "1", "name 1" }, { "2", "name 2", "2", "name 2" } }, rows)
    end)
  end)

  it("cannot tell NULL from the text before 1.5, and say so", function()
    local old = page({ { "NULL", "x" } }, { totalColumn = cjson.null })
    script { { match = "/openFile", reply = old } }
    assert.is_false(first_set():null_exact())
  end)

  it("can tell on 1.5, which shows no sign of it", function()
    script {
      { match = "nullValue=taskclient", reply = page({ { "taskclient-null", "x" } },
        { totalColumn = cjson.null }) },
      { match = "/openFile", reply = page({ { "NULL", "x" } }, { totalColumn = cjson.null }) },
    }
    assert.is_true(first_set():null_exact())
  end)

  it("can tell where a NULL of the server's came as such", function()
    script { { match = "/openFile", reply = page({ { cjson.null, "x" } },
      { totalColumn = cjson.null }) } }
    assert.is_true(first_set():null_exact())
  end)

  it("count by the server's count, or by pages where it has none", function()
    script { { match = "/fileInfo", reply = fault.linkis { rowNumber = 123456, colNumber = 2 } } }
    assert.are.equal(123456, first_set():count())
    script { { match = "/fileInfo", reply = fault.boot(404) }, open_page(1, page(rows_from(1, 3))) }
    assert.are.equal(3, first_set():count())
  end)

  it("count by pages where the server fails to", function()
    script { { match = "/fileInfo", reply = fault.linkis("{}", { status = 1, http = 400 }) },
      open_page(1, page(rows_from(1, 3))) }
    assert.are.equal(3, first_set():count())
  end)

  it("say where they were capped (traps 30, 63)", function()
    local function capped(rows, fields)
      fs:script { task(fields), { match = "/getDir", reply = tree "_0.dolphin" },
        { match = "/fileInfo", reply = fault.linkis { rowNumber = rows } } }
      return first_set():capped()
    end
    assert.is_true(capped(5000, { executeApplicationName = "jdbc" }))
    assert.is_false(capped(4999, { executeApplicationName = "jdbc" }))
    assert.is_true(capped(5000, { requestApplicationName = "IDE" }))
    assert.is_false(capped(5000, {}))
  end)

  describe("save", function()
    it("CSV with all three kinds of nothing", function()
      script {
        open_page(1, page { { "1", cjson.null }, { "2", "" } }),
        open_page(2, page { { "3", "NULL" }, { "4", 'say "hi", you' } }),
        open_page(3, page { { "5", "two\nlines" } }),
      }
      local path = dir .. "/t.csv"
      local rs = first_set()
      local rows, bytes = assert(rs:save(path, { page_size = 2 }))
      assert.are.equal(5, rows)
      assert.are.equal('id,name\r\n1,\r\n2,""\r\n3,NULL\r\n4,"say ""hi"", you"\r\n'
        .. '5,"two\nlines"\r\n', slurp(path))
      assert.are.equal(#slurp(path), bytes)
      local again, err = rs:save(path)
      assert.is_nil(again)
      assert.are.equal("io", err.kind)
      assert.are.equal(5, (assert(rs:save(path, { overwrite = true, page_size = 2 }))))
    end)

    it("JSON Lines by the path's ending", function()
      script { open_page(1, page { { "1", cjson.null } }) }
      local path = dir .. "/t.jsonl"
      assert(first_set():save(path, { typed = true }))
      assert.are.equal('{"id":1,"name":null}\n', slurp(path))
    end)

    it("no CSV in a file that is named like a spreadsheet", function()
      script { open_page(1, page(rows_from(1, 2))) }
      local rows, err = first_set():save(dir .. "/t.xlsx")
      assert.is_nil(rows)
      assert.are.equal("unsupported", err.kind)
      assert.is_truthy(err.hint:find("rs:export", 1, true))
      assert.is_nil(slurp(dir .. "/t.xlsx"))
      assert.are.equal(2, (assert(first_set():save(dir .. "/t.json", { format = "jsonl" }))))
    end)

    it("columns alone when there are no rows", function()
      script { open_page(1, page {}) }
      local path = dir .. "/none.csv"
      assert.are.equal(0, (assert(first_set():save(path))))
      assert.are.equal("id,name\r\n", slurp(path))
    end)

    it("nothing when a page fails for good", function()
      script {
        open_page(1, page(rows_from(1, 2))),
        open_page(2, fault.linkis("{}", { status = 1, http = 400, message = "gone" })),
      }
      local path = dir .. "/half.csv"
      local rows, err = first_set():save(path, { page_size = 2 })
      assert.is_nil(rows)
      assert.are.equal("service", err.kind)
      assert.is_nil(slurp(path))
      assert.are.equal("", (select(2, process.run { "find", dir, "-name", "half*" })))
    end)

    it("goes on after a connection was cut, with each row once", function()
      local second = page(rows_from(3, 4))
      script {
        open_page(1, page(rows_from(1, 2))),
        { match = "openFile.*page=2&", times = 4, { "read" }, { "send", second:sub(1, 400) },
          { "rst" } },
        open_page(2, second),
        open_page(3, page {}),
      }
      local path = dir .. "/cut.csv"
      assert.are.equal(4, (assert(first_set():save(path, { page_size = 2 }))))
      assert.are.equal("id,name\r\n1,name 1\r\n2,name 2\r\n3,name 3\r\n4,name 4\r\n", slurp(path))
    end)

    it("texts as they are, pictures as their bytes", function()
      local function text_page(word, lines)
        local rows = {}
        for i, line in ipairs(lines) do rows[i] = { line } end
        return fault.linkis { type = word, metadata = "NULL", fileContent = rows,
                              totalLine = #rows, totalPage = 0 }
      end
      script { { match = "/openFile", reply = text_page("1", { "one", "", "  two" }) } }
      local rs = first_set()
      assert.are.equal("one\n\n  two", rs:text())
      assert.are.equal("text", rs:type())
      assert(rs:save(dir .. "/t.txt"))
      assert.are.equal("one\n\n  two\n", slurp(dir .. "/t.txt"))
      script { { match = "/openFile", reply = text_page("1", { 'a\t"b"\n', cjson.null, "é" }) } }
      assert.are.equal(3, (assert(first_set():save(dir .. "/e.txt"))))
      assert.are.equal('a\t"b"\n\n\né\n', slurp(dir .. "/e.txt"))
      script { { match = "/openFile", reply = fault.linkis { type = "1", metadata = "NULL",
        fileContent = { { "one" }, { "two", "three" } }, totalLine = 2, totalPage = 0 } } }
      local _, err = first_set():save(dir .. "/w.txt")
      assert.matches("row 2 has 2 cells.*no table", tostring(err))
      script { { match = "/openFile", reply = text_page("4", { "iVBORw0KGgo=" }) } }
      assert(first_set():save(dir .. "/p.png"))
      assert.are.equal("\137PNG\r\n\26\n", slurp(dir .. "/p.png"))
      script { { match = "/openFile", reply = text_page("5", { "<b>", "</b>" }) } }
      rs = first_set()
      assert(rs:save(dir .. "/p.html"))
      assert.are.equal("<b>\n</b>\n", slurp(dir .. "/p.html"))
      assert.are.equal("result set _0 (html)", tostring(rs))
    end)

    it("refuse a wrong option", function()
      script()
      local rs = first_set()
      local function raises(path, opts, text)
        local ok, err = pcall(function() rs:save(path, opts) end)
        assert.is_false(ok)
        assert.is_truthy(err:find("results_spec", 1, true), err)
        assert.is_truthy(err:find(text, 1, true), err)
      end
      raises("x", { format = "cvs" }, "csv, tsv or jsonl expected")
      raises("x", { seperator = ";" }, "did you mean 'separator'")
      raises("x", { separator = "ab" }, "one byte")
      raises("x", { null = "a,b" }, "separator")
      raises("x.tsv", { separator = ";" }, "is for csv")
      raises(12, nil, "path")
    end)
  end)
end)
