-- Traps 21 to 30 of a Linkis server, each shown to the client as the
-- server sets it.

local fault = require "spec.support.fault"
local linkis = require "spec.support.linkis"
local process = require "spec.support.process"
local taskclient = require "taskclient"

local DISPOSITION = { "Content-Disposition: attachment;filename=downloadResultset.csv",
  "Content-Type: text/plain;charset=utf-8" }

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

describe("trap", function()
  local fs, client, dir
  setup(function() fs, dir = fault.start(), process.tempdir() end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)
  before_each(function() client = linkis.client(fs) end)
  after_each(function() client:close() end)

  local function path(name)
    os.remove(dir .. "/" .. name)
    return dir .. "/" .. name
  end

  -- a finished job with one result set whose first page is `rows`
  local function set(rows, ...)
    fs:script { linkis.get { status = "Succeed" }, linkis.tree "_0.dolphin",
      { match = "/openFile.*page=1&", reply = type(rows) == "string" and rows
        or linkis.page(rows) },
      { match = "/openFile", reply = linkis.page {} },
      linkis.ok("/fileInfo", { rowNumber = type(rows) == "table" and #rows or 1 }), ... }
    return assert(client:attach(12):results())[1]
  end

  local function export(body, headers)
    return { match = "/resultsetToExcel", reply = fault.http(200, body, headers or DISPOSITION) }
  end

  it("21: the separator goes by the names that servers read, and by the page's", function()
    local rs = set({ { "1", "a" } }, export "id;name\n1;a\n")
    assert(rs:export(path "a.csv", { separator = ";" }))
    local query = fs:requests("/resultsetToExcel")[1].query
    for _, name in ipairs { "csvSeparator", "csvSeperator", "csvSeerator" } do
      assert.is_truthy(query:find(name .. "=%3B", 1, true), name)
    end
  end)

  it("22: a spreadsheet is asked for as xlsx, in lower case", function()
    local rs = set({ { "1", "a" } }, export "PK\3\4...PK\5\6\0\0")
    assert(rs:export(path "a.xlsx"))
    assert.matches("outputFileType=xlsx", fs:requests("/resultsetToExcel")[1].query)
    assert.has_error(function() rs:export(path "b", { format = "excel" }) end)
    -- a server built from the published page knows only the page's word
    rs = set({ { "1", "a" } },
      { match = "outputFileType=xlsx", reply = fault.http(200, "error(错误):null",
        { DISPOSITION[2] }) },
      { match = "outputFileType=excel", reply = fault.http(200, "PK\3\4...PK\5\6\0\0",
        DISPOSITION) })
    assert(rs:export(path "c.xlsx"))
    assert.equals("PK\3\4...PK\5\6\0\0", slurp(dir .. "/c.xlsx"))
  end)

  it("the sheets of a job without a table break off, and say nothing", function()
    local text = linkis.page({ { "one" } }, { type = "1", metadata = "NULL", totalColumn = 1 })
    for kind, page in pairs { unsupported = text, network = linkis.page { { "1", "a" } } } do
      fs:script { linkis.get { status = "Succeed" }, linkis.tree "1_0.dolphin",
        { match = "/openFile", reply = page },
        { match = "/resultsetsToExcel", { "read" }, { "send", "HTTP/1.1 200 OK\r\n"
          .. "Transfer-Encoding: chunked\r\n\r\n" }, { "fin" } } }
      local bytes, err = client:attach(12):export(path "none.xlsx")
      assert.is_nil(bytes)
      assert.equals(kind, err.kind)
    end
  end)

  it("23: an export is complete: the limit is always sent", function()
    local rs = set({ { "1", "a" }, { "2", "b" } }, export "id,name\n1,a\n2,b\n")
    assert(rs:export(path "a.csv"))
    assert.matches("limit=2147483647", fs:requests("/resultsetToExcel")[1].query)
    rs = set({ { "1", "a" }, { "2", "b" } }, export "id,name\n1,a\n") -- the server stopped
    local bytes, err = rs:export(path "b.csv")
    assert.is_nil(bytes)
    assert.equals("protocol", err.kind)
    assert.matches("1 of 2 rows", err.message)
    assert.is_nil(slurp(dir .. "/b.csv"))
  end)

  it("23 once more: an export that was cut inside of its last row is found", function()
    local rows = { { "1", "a" }, { "2", "b" } }
    for body, opts in pairs {
      ["id,name\n1,x\n2"] = {}, ["id,name\n1,x\n2\ty"] = {},
      ["id\tname\n1\tx\n2,y"] = { separator = "t" },
      ["id||name\n1||x\n2|"] = { separator = "||" },
    } do
      local bytes, err = set(rows, export(body)):export(path "a.csv", opts)
      assert.is_nil(bytes)
      assert.equals("protocol", err.kind)
      assert.matches("cut inside of its last row", err.message)
      assert.is_nil(slurp(dir .. "/a.csv"))
    end
    for _, body in ipairs { "id,name\n1,x\n2,y", "id,name\n1,x\n2,y,z", "id\n1\n2" } do
      assert(set(rows, export(body)):export(path "a.csv"))
    end
  end)

  it("24: an export fails inside a 200", function()
    for body, code in pairs {
      ["error(错误):errCode: 80024 ,desc: only table ,ip: a ,port: 1 ,serviceKind: ps"] = 80024,
      ["error(错误):path file:/x not exists."] = false, ["error(错误):null"] = false,
      ["error(Error):null"] = false,
    } do
      local rs = set({ { "1", "a" } }, export(body, { "Content-Type: text/plain;charset=utf-8" }))
      local bytes, err = rs:export(path "a.csv")
      assert.is_nil(bytes)
      assert.same({ "service", code or nil }, { err.kind, err.code })
      assert.is_nil(slurp(dir .. "/a.csv"))
    end
  end)

  it("25: the server's CSV is not RFC 4180; save writes one that is", function()
    local rs = set({ { "1", 'say "a,b"\nc' }, { "2", "" }, { "3", linkis.null } },
      export "id,name\n1,say \"a,b\" c\n2,NULL\n3,NULL\n")
    assert.equals(3, (assert(rs:save(path "a.csv"))))
    assert.equals('id,name\r\n1,"say ""a,b""\nc"\r\n2,""\r\n3,\r\n', slurp(dir .. "/a.csv"))
    assert(rs:export(path "b.csv"))
    assert.equals("id,name\n1,say \"a,b\" c\n2,NULL\n3,NULL\n", slurp(dir .. "/b.csv"))
    local text = set(linkis.page({ { "one" }, { "" }, { "two" } }, { type = "1",
      metadata = "NULL" }))
    local bytes, err = text:export(path "c.csv")
    assert.is_nil(bytes)
    assert.equals("unsupported", err.kind)
    assert.matches("rs:save", err.message)
  end)

  it("26: nullValue replaces empty texts too, but for LINKIS_NULL", function()
    local rs = set { { "1", "" }, { "2", linkis.null }, { "3", "NULL" } }
    assert.same({ { "1", "" }, { "2", taskclient.null }, { "3", "NULL" } },
      linkis.all(rs:rows()))
    for _, request in ipairs(fs:requests "/openFile") do
      assert.matches("nullValue=LINKIS_NULL", request.query)
    end
    assert.is_true(rs:null_exact())
  end)

  it("27: result files come in any order", function()
    fs:script { linkis.get { status = "Succeed" }, linkis.tree("_3.dolphin", "_10.dolphin",
      "_9.dolphin", "1_0.dolphin", "_1.dolphin", "a_b_2.dolphin", "other.txt") }
    local names, aliases = {}, {}
    for i, rs in ipairs(assert(client:attach(12):results())) do
      names[i], aliases[i] = rs.name, rs.alias or "-"
    end
    assert.same({ "1_0", "_1", "a_b_2", "_3", "_9", "_10" }, names)
    assert.same({ "1", "-", "a_b", "-", "-", "-" }, aliases)
  end)

  it("beside 28: results are refused until the job has ended, for they are not whole before",
    function()
      for _, status in ipairs { "Inited", "Scheduled", "Running", "RUNNING" } do
        for _, folder in ipairs { linkis.FOLDER, linkis.null } do
          fs:script { linkis.get { status = status, resultLocation = folder },
            linkis.tree "_0.dolphin" }
          for _, ask in ipairs { "results", "export" } do
            local job = client:attach(12)
            local sets, err = job[ask](job, "early.xlsx")
            assert.is_nil(sets)
            assert.equals("unsupported", err.kind)
            assert.matches("has not ended.*wait first", err.message)
          end
          assert.equals(0, #fs:requests "ToExcel")
        end
      end
    end)

  it("28: a job without results has a place for them and no tree", function()
    fs:script { linkis.get { status = "Succeed" },
      linkis.ok("/getDirFileTrees", '{"dirFileTrees":null}') }
    assert.same({}, client:attach(12):results())
    assert.equals(1, #fs:requests "/getDirFileTrees")
    fs:script { linkis.get { status = "Failed", resultLocation = linkis.null } }
    assert.same({}, client:attach(12):results())
    assert.equals(0, #fs:requests "/getDirFileTrees")
  end)

  it("29: openFile may bring no rows at all, and a text's metadata is a text", function()
    local rs = set(fault.linkis { type = "2", display_prohibited = true,
      zh_msg = "太长", en_msg = "a cell is too long" })
    local row, err = rs:rows():read()
    assert.is_nil(row)
    assert.equals("service", err.kind)
    assert.matches("too long", err.message)
    assert.is_string(err.hint)
    local text = set(linkis.page({ { "one" }, { "" }, { "two" } }, { type = "1",
      metadata = "NULL" }))
    assert.equals("one\n\ntwo", text:text())
    assert.same({}, text:columns())
    assert.equals("text", text:type())
    -- over-wide: columns are asked for page by page
    local function columns(first, last)
      local metadata, cells = {}, {}
      for i = first, last do
        metadata[#metadata + 1] = { columnName = "c" .. i, dataType = "int", comment = "" }
        cells[#cells + 1] = tostring(i)
      end
      return linkis.page({ cells }, { metadata = metadata, totalColumn = 700 })
    end
    fs:script { linkis.get { status = "Succeed" }, linkis.tree "_0.dolphin",
      { match = "columnPage=1&", reply = columns(1, 500) },
      { match = "columnPage=2&", reply = columns(501, 700) },
      linkis.no("columnPage=", "Warning code(警告码): 52004", { http = 206, status = 4 }),
      { match = "/openFile", reply = fault.linkis { type = "2", column_limit_display = true,
        zh_msg = "x", en_msg = "more than 10000 columns" } } }
    rs = assert(client:attach(12):results())[1]
    row = assert(rs:rows():read())
    assert.same({ 700, "1", "501", "700" }, { #row, row[1], row[501], row[700] })
  end)

  it("30: without a creator SQL is cut; the client always names one that is not", function()
    fs:script { { match = "/submit", reply = linkis.accepted() } }
    assert(client:submit(linkis.shell()))
    assert.equals("hadoop-taskclient", linkis.body(fs:requests("/submit")[1]).labels.userCreator)
    assert(client:submit(linkis.shell("x", { creator = "IDE" }))) -- who asks for it gets it
    assert.equals("hadoop-IDE", linkis.body(fs:requests("/submit")[2]).labels.userCreator)
  end)
end)
