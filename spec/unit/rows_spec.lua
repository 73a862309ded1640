-- Result pages (protocols 3.12.2) to Lua rows and records, and to files in
-- CSV, TSV and JSON Lines: nothing lost, NULL, "" and "NULL" three things.

local core = require "taskclient.core"
local collector = require "spec.support.collector"

local EXACT = _VERSION >= "Lua 5.3" and not rawget(_G, "jit")
local null = core.null
local unpack = table.unpack or unpack
local path = os.tmpname()

local function slurp(name)
  local file = io.open(name, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- a page as the server sends it; rows hold texts and null
local function page_of(columns, rows)
  local heads, lines = {}, {}
  for i, column in ipairs(columns) do
    heads[i] = ('{"columnName":%s,"comment":"","dataType":%s}'):format(quoted(column[1]),
      quoted(column[2] or "string"))
  end
  for i, row in ipairs(rows) do
    local cells = {}
    for k = 1, #columns do cells[k] = row[k] == null and "null" or quoted(row[k]) end
    lines[i] = "[" .. table.concat(cells, ",") .. "]"
  end
  return ('{"metadata":[%s],"totalPage":0,"totalColumn":%d,"totalLine":%d,"page":1,"type":"2",'
    .. '"fileContent":[%s]}')
    :format(table.concat(heads, ","), #columns, #rows, table.concat(lines, ","))
end

local TABLE = '{"metadata":[{"columnName":"id","comment":"key","dataType":"int"},'
  .. '{"columnName":"name","comment":null,"dataType":"string"}],"totalPage":0,"totalLine":2,'
  .. '"page":1,'
  .. [=["type":"2","fileContent":[["1","a\"b"],["2",null]]}]=]

local function fails(data, part, opts)
  local page, err = core.page(data, opts)
  assert.is_nil(page)
  assert.equal("protocol", err.kind)
  assert.truthy(err.message:find(part, 1, true), err.message)
end

describe("a page", function()
  it("of a table has columns and rows", function()
    local page = core.page(TABLE)
    assert.equal("2", page.type)
    assert.equal(2, page.n)
    assert.is_false(page.prohibited)
    assert.same({ { name = "id", type = "int", comment = "key" }, { name = "name",
      type = "string", comment = "" } },
      page.columns)
    assert.same({ { "1", 'a"b' }, { "2", null } }, page.rows)
  end)

  it("may have its members in any order", function()
    local members = {
      '"metadata":[{"columnName":"a","dataType":"int"}]', '"fileContent":[["1"],["2"]]',
        '"type":"2"', '"page":1',
    }
    local function each_order(list, n, visit)
      if n == 0 then return visit("{" .. table.concat(list, ",") .. "}") end
      for i = 1, n do
        list[i], list[n] = list[n], list[i]
        each_order(list, n - 1, visit)
        list[i], list[n] = list[n], list[i]
      end
    end
    local orders = 0
    each_order(members, #members, function(data)
      orders = orders + 1
      local page = core.page(data, { typed = true })
      assert.equal("2", page.type)
      assert.equal("a", page.columns[1].name)
      assert.same({ { 1 }, { 2 } }, page.rows)
    end)
    assert.equal(24, orders)
  end)

  it("of text, html or a script has rows of one cell and no columns", function()
    for _, metadata in ipairs { '"NULL"', "null", "{}", '{"variable":{},"configuration":{}}',
      nil } do
      local data = ('{"metadata":%s,"totalLine":3,"type":"1","fileContent":[["one"],[""],'
        .. '["\\uD83D\\uDE00"]]}')
        :format(metadata)
      local page = core.page(data)
      assert.same({}, page.columns)
      assert.same({ { "one" }, { "" }, { "\240\159\152\128" } }, page.rows)
      assert.same({ { text = "one" }, { text = "" }, { text = "\240\159\152\128" } },
        core.page(data, { records = true }).rows)
    end
    assert.same({ { "select 1\n" } },
      core.page([=[{"type":"script/text","fileContent":[["select 1\n"]]}]=]).rows)
  end)

  it("may be empty, or not be shown", function()
    local page = core.page('{"metadata":[{"columnName":"a","dataType":"int"}],"type":"2",'
      .. '"fileContent":[]}')
    assert.same({}, page.rows)
    assert.equal(0, page.n)
    page = core.page '{"type":"2","display_prohibited":true,"zh_msg":"x","en_msg":"too long"}'
    assert.is_true(page.prohibited)
    assert.equal("too long", page.message)
    assert.same({}, page.rows)
  end)

  it("that holds no rows is an error, never an empty page", function()
    for _, data in ipairs { "{}", "[]", "null", '"a"', '{"fileContent":null}',
      '{"fileContent":"a"}',
      '{"fileContent":{"a":[]}}', '{"fileContent":["a"]}', '{"fileContent":[["a"],null]}',
      '{"metadata":"NULL","fileContent":[["a"],{}],"type":"1"}' } do
      fails(data, "no result page")
    end
    fails('{"fileContent":[["a"]', "ends inside")
    fails(TABLE .. "x", "not JSON")
  end)

  it("keeps cells that are no strings as they are written", function()
    local page = core.page('{"metadata":[],"type":2,"fileContent":[[1.50,true,false,{"a": [1]},'
      .. '12345678901234567890]]}')
    assert.same({ { "1.50", "true", "false", '{"a": [1]}', "12345678901234567890" } }, page.rows)
    assert.equal("2", page.type)
  end)

  it("without columns keeps the cells of rows of any width", function()
    local data = '{"metadata":"NULL","type":"1","fileContent":[["1","2","3"],[]]}'
    assert.same({ { "1", "2", "3" }, {} }, core.page(data).rows)
    assert.same({ { text = "1", column_2 = "2", column_3 = "3" }, {} }, core.page(data,
      { records = true }).rows)
  end)

  it("of columns has no row with more or fewer cells", function()
    local rest = ',["4","5"]' .. (',["aaaaaaaaaaaaaaaa","bbbbbbbbbbbbbbbb"]'):rep(9)
    for cells, row in pairs { [1] = '["1"]', [3] = '["1","2","3"]', [0] = "[]",
      [4] = '["1","2",null,"4"]' } do
      local data = '{"metadata":[{"columnName":"a","dataType":"int"},{"columnName":"b"}],'
        .. '"type":"2","fileContent":[["x","y"],' .. row .. rest .. "]}"
      local text = ("row 2 of the page has %d cells for 2 columns"):format(cells)
      for _, opts in ipairs { {}, { typed = true }, { records = true } } do
        fails(data, text, opts)
      end
      for _, format in ipairs { "csv", "tsv", "jsonl" } do
        local writer = assert(core.writer(path, { format = format, overwrite = true }))
        local n, err = writer:page(data)
        writer:discard()
        assert.is_nil(n, format .. cells)
        assert.equal("protocol", err.kind)
      end
    end
  end)

  it("names a column that has no name by its number", function()
    local data = '{"metadata":[{"columnName":""},{"columnName":null},{},{"columnName":"a"}],'
      .. '"type":"2","fileContent":[["1","2","3","4"]]}'
    assert.same({ { column_1 = "1", column_2 = "2", column_3 = "3", a = "4" } },
      core.page(data, { records = true }).rows)
    assert.equal("column_1", core.page(data).columns[1].name)
  end)

  it("gives equal column names different keys", function()
    local data = page_of({ { "a" }, { "a" }, { "a_2" }, { "a" }, { "" } }, { { "1", "2", "3", "4",
      "5" } })
    assert.same({ { a = "1", a_2 = "2", a_2_2 = "3", a_3 = "4", column_5 = "5" } }, core.page(data,
      { records = true }).rows)
    assert.equal("a", core.page(data).columns[4].name)
  end)

  it("takes no time over many equal column names", function()
    local names, row = {}, {}
    for i = 1, 20000 do names[i], row[i] = { "a" }, "1" end
    local data, from = page_of(names, { row }), os.clock()
    assert.equal("1", core.page(data, { records = true }).rows[1].a_20000)
    assert.is_true(os.clock() - from < 2)
  end)

  it("is the same however often its values come again", function()
    local rows = {}
    for i = 1, 3000 do
      rows[i] = { tostring(i), "day " .. i % 7, ("w"):rep(i % 45), i % 3 == 0 and null
        or tostring(i % 1000), "x" }
    end
    assert.same(rows, core.page(page_of({ { "a" }, { "b" }, { "c" }, { "d" }, { "e" } },
      rows)).rows)
  end)

  it("survives the collector at any moment", function()
    local rows = {}
    for i = 1, 500 do rows[i] = { tostring(i), "line\n" .. i, i % 5 == 0 and null or "again" } end
    local data = page_of({ { "a", "int" }, { "b" }, { "c" } }, rows)
    local page = collector.eager(function() return core.page(data) end)
    assert.same(rows, page.rows)
  end)
end)

describe("typed cells", function()
  local function typed(word, text)
    return core.page(page_of({ { "a", word } }, { { text } }), { typed = true }).rows[1][1]
  end

  it("are integers, exactly", function()
    for _, word in ipairs { "int", "INTEGER", "long", "BigInt", "short", "smallint", "tinyint",
      "byte",
      "int(11)", "bigint unsigned" } do
      assert.equal(-42, typed(word, "-42"))
    end
    local big = typed("bigint", "9223372036854775807")
    assert.equal(EXACT and "number" or "string", type(big))
    assert.equal("9223372036854775807", EXACT and ("%d"):format(big) or big)
    for _, text in ipairs { "9223372036854775808", "1.0", "", " 1", "+1", "1e3", "x", "-",
      "NULL" } do
      assert.equal(text, typed("bigint", text))
    end
  end)

  it("are doubles, with infinities and NaN", function()
    assert.equal(0.1, typed("double", "0.1"))
    assert.equal(1e100, typed("DOUBLE", "1" .. ("0"):rep(100)))
    assert.equal(1.5e-7, typed("float", "1.5E-7"))
    assert.equal(3, typed("real", "3"))
    assert.equal(math.huge, typed("double", "Infinity"))
    assert.equal(-math.huge, typed("double", "-Infinity"))
    local nan = typed("double", "NaN")
    assert(nan ~= nan)
    for _, text in ipairs { "1e400", ".5", "5.", "0x10", "1,5", "", "nan0" } do
      assert.equal(text, typed("double", text))
    end
  end)

  it("are booleans", function()
    assert.is_true(typed("boolean", "true"))
    assert.is_false(typed("BOOLEAN", "False"))
    assert.equal("1", typed("boolean", "1"))
    assert.equal("t", typed("boolean", "t"))
  end)

  it("are text for decimals and everything else", function()
    for _, word in ipairs { "decimal", "decimal(10,2)", "string", "date", "timestamp",
      "array<int>", "", "integers" } do
      assert.equal("12345678901234567.89", typed(word, "12345678901234567.89"))
      assert.equal("1", typed(word, "1"))
    end
  end)

  it("leave NULL what it is", function()
    assert.equal(null, typed("int", null))
    assert.equal(null, typed("string", null))
  end)
end)

-- ---- files ----

local function write(opts, pages)
  opts.overwrite = true
  local writer = assert(core.writer(path, opts))
  for _, page in ipairs(pages) do assert(writer:page(page)) end
  local bytes, rows = assert(writer:commit())
  local text = slurp(path)
  assert.equal(#text, bytes)
  return text, rows
end

local ODD = { { "1", null, "", "NULL", "null", "a,b" }, { 'say "hi"', "two\nlines", "\r",
  "tab\tx", " pad ", "\\N" } }
local SIX = { { "a" }, { "b" }, { "c" }, { "d" }, { "e" }, { 'f,"' } }

-- a reader of CSV made from RFC 4180; NULL where nothing stands, not even quotes
local function read_csv(text, eol)
  local rows, row, at = {}, {}, 1
  while at <= #text do
    local cell, after
    if text:sub(at, at) == '"' then
      local close = at
      repeat close = text:find('"', close + 1, true) + 1 until text:sub(close, close) ~= '"'
      cell, after = text:sub(at + 1, close - 2):gsub('""', '"'), close
    else
      after = text:find('[,\r\n]', at)
      cell = after > at and text:sub(at, after - 1) or null
    end
    row[#row + 1] = cell
    if text:sub(after, after) == "," then
      at = after + 1
    else
      assert.equal(eol, text:sub(after, after + #eol - 1))
      rows[#rows + 1], row, at = row, {}, after + #eol
    end
  end
  return rows
end

describe("CSV", function()
  it("is RFC 4180, and keeps the three kinds of nothing", function()
    assert.equal('a,b,c,d,e,"f,"""\r\n1,,"",NULL,null,"a,b"\r\n"say ""hi""","two\nlines","\r",'
      .. 'tab\tx, pad ,\\N\r\n',
      (write({}, { page_of(SIX, ODD) })))
  end)

  it("may be told its separator, quotes, NULL, end of line, header and mark", function()
    local text = write({ separator = ";", quote = "all", null = "NULL", eol = "\n",
      header = false, bom = true },
      { page_of({ { "a" }, { "b" }, { "c" } }, { { "x;y", null, "NULL" }, { "", "1", "," } }) })
    assert.equal('\239\187\191"x;y";NULL;"NULL"\n"";"1";","\n', text)
    assert.equal('a\r\n"-"\r\n-\r\nx\r\n', (write({ null = "-" }, { page_of({ { "a" } },
      { { "-" }, { null }, { "x" } }) })))
  end)

  it("can be read back, whatever the cells hold", function()
    math.randomseed(20260105)
    local letters = { "a", ",", '"', "\r", "\n", "\t", "\\", "é", "中", " ", "NULL", ";", "0",
      "\127", "\1" }
    local rows = {}
    for i = 1, 500 do
      rows[i] = {}
      for k = 1, 4 do
        local cell = {}
        for n = 1, math.random(0, 6) do cell[n] = letters[math.random(#letters)] end
        rows[i][k] = math.random(8) == 1 and null or table.concat(cell)
      end
    end
    local pages = {}
    for i = 1, 500, 50 do pages[#pages + 1] = page_of({ { "a" }, { "b" }, { "c" }, { "d" } },
      { unpack(rows, i, i + 49) }) end
    local back = read_csv(write({}, pages), "\r\n")
    assert.same({ "a", "b", "c", "d" }, table.remove(back, 1))
    assert.same(rows, back)
  end)
end)

describe("TSV", function()
  it("escapes tabs, newlines and backslashes, and writes NULL as \\N", function()
    assert.equal('a\tb\tc\td\te\tf,"\n1\t\\N\t\tNULL\tnull\ta,'
      .. 'b\nsay "hi"\ttwo\\nlines\t\\r\ttab\\tx\t pad \t\\\\N\n',
      (write({ format = "tsv" }, { page_of(SIX, ODD) })))
  end)
end)

describe("JSON Lines", function()
  local cjson = require "cjson"

  it("are objects by column, in order, equal names told apart", function()
    assert.equal('{"a":"1","a_2":null,"b":""}\n{"a":"x","a_2":"y","b":"z"}\n',
      (write({ format = "jsonl" }, { page_of({ { "a" }, { "a" }, { "b" } }, { { "1", null, "" },
        { "x", "y", "z" } }) })))
  end)

  it("hold every cell, as another reader sees them", function()
    local text = write({ format = "jsonl" }, { page_of(SIX, ODD) })
    local n = 0
    for line in text:gmatch "[^\n]+" do
      n = n + 1
      local record = cjson.decode(line)
      for k, column in ipairs(SIX) do assert.equal(ODD[n][k], record[column[1]]) end
    end
    assert.equal(2, n)
  end)

  it("have bare numbers and booleans where they are asked for", function()
    local columns = { { "i", "int" }, { "d", "double" }, { "b", "boolean" }, { "m", "decimal" },
      { "s", "string" } }
    local rows = { { "007", "1.50", "True", "1.50", "1" }, { "-7", "NaN", "x", null, "true" },
      { "12345678901234567890", "-1e400", "false", "1", null } }
    assert.equal('{"i":"007","d":1.50,"b":true,"m":"1.50","s":"1"}\n'
      .. '{"i":-7,"d":"NaN","b":"x","m":null,"s":"true"}\n'
      .. '{"i":12345678901234567890,"d":-1e400,"b":false,"m":"1","s":null}\n',
      (write({ format = "jsonl", typed = true }, { page_of(columns, rows) })))
  end)

  it("stay on one line, whatever the server nests", function()
    assert.equal('{"a":{"x": [1, 2]}}\n', (write({ format = "jsonl" },
      { '{"metadata":[{"columnName":"a"}],"fileContent":[[{"x":\n[1,\r2]}]]}' })))
  end)
end)

describe("a writer", function()
  it("writes one header for many pages, and one text column for text", function()
    local one = page_of({ { "a" } }, { { "1" } })
    local text, rows = write({}, { one, one, page_of({ { "a" } }, {}), one })
    assert.equal("a\r\n1\r\n1\r\n1\r\n", text)
    assert.equal(3, rows)
    local lines = '{"metadata":"NULL","type":"1","fileContent":[["one"],[""],["a,b"]]}'
    assert.equal('text\r\none\r\n""\r\n"a,b"\r\n', (write({}, { lines })))
    assert.equal('{"text":"one"}\n{"text":""}\n{"text":"a,b"}\n', (write({ format = "jsonl" },
      { lines })))
  end)

  it("tells how many rows a page had", function()
    local writer = assert(core.writer(path, { overwrite = true }))
    assert.equal(2, writer:page(TABLE))
    assert.equal(0, writer:page(page_of({ { "a" }, { "b" } }, {})))
    writer:discard()
  end)

  it("takes rows made in Lua", function()
    local writer = assert(core.writer(path, { overwrite = true, format = "jsonl" }))
    assert(writer:columns { "a", { name = "b", type = "int" }, "a" })
    assert(writer:row { 1, nil, "x" })
    assert(writer:row { 0.1, true, null })
    assert(writer:row { -1e300, "é\n", 1 / 0 })
    assert(writer:row {})
    assert(writer:commit())
    assert.equal('{"a":1,"b":null,"a_2":"x"}\n{"a":0.1,"b":true,"a_2":null}\n'
      .. '{"a":-1e+300,"b":"é\\n","a_2":"Infinity"}\n{"a":null,"b":null,"a_2":null}\n',
        slurp(path))
  end)

  it("refuses a page whose rows do not fit, and then everything", function()
    os.remove(path)
    for _, rows in ipairs { '[["1","2"],["3"]]', '[["1","2"],["3","4","5"]]', '[["1","2"],[]]',
      '[["1","2"],"3"]' } do
      local writer = assert(core.writer(path, {}))
      local data = '{"metadata":[{"columnName":"a"},{"columnName":"b"}],"type":"2","fileContent":'
        .. rows .. "}"
      for _ = 1, 2 do
        local n, err = writer:page(data)
        assert.is_nil(n)
        assert.equal("protocol", err.kind)
      end
      assert.is_nil((writer:row { "1", "2" }))
      assert.is_nil((writer:commit()))
      assert.is_nil(slurp(path))
    end
  end)

  it("refuses what is no page", function()
    local writer = assert(core.writer(path, {}))
    for _, data in ipairs { "{}", "[]", '{"fileContent":null}', '{"display_prohibited":true}',
      '{"fileContent":[' } do
      local n, err = writer:page(data)
      assert.is_nil(n)
      assert.equal("protocol", err.kind)
    end
    assert.equal(1, writer:page(page_of({ { "a" } }, { { "1" } })))
    writer:discard()
  end)

  it("raises on misuse", function()
    local function raises(part, fn, ...)
      local ok, err = pcall(fn, ...)
      assert.is_false(ok)
      assert.truthy(tostring(err):find(part, 1, true), err)
    end
    os.remove(path)
    for option, value in pairs { format = "xml", separator = ",,", quote = "some", null = "a\n",
      eol = "\r",
      typo = true, bom2 = 1, header_ = false } do
      raises("option", core.writer, path, { [option] = value })
    end
    raises("string expected", core.writer, path, { format = 5 })
    raises("zero byte", core.writer, path, { format = "csv\0" })
    raises("zero byte", core.writer, path, { separator = ";\0" })
    raises("zero byte", core.writer, "a\0b", {})
    raises("for csv", core.writer, path, { format = "tsv", separator = ";" })
    raises("unknown option number", core.writer, path, { "csv" })
    -- a typo that is a part of known names, or several of them, is one all the same
    for _, option in ipairs { "", " ", "ma", "format separator", "ator", "format\0", "typed " } do
      raises("unknown option", core.writer, path, { [option] = true, overwrite = true })
    end
    local writer = assert(core.writer(path, { format = "jsonl" }))
    raises("columns first", writer.row, writer, { 1 })
    raises("names", writer.columns, writer, { 1 })
    raises("UTF-8", writer.columns, writer, { "\255" })
    assert(writer:columns { "a" })
    raises("columns already", writer.columns, writer, { "a" })
    raises("more cells", writer.row, writer, { 1, 2 })
    raises("expected", writer.row, writer, { {} })
    raises("UTF-8", writer.row, writer, { "\255" })
    raises("table expected", writer.row, writer, "x")
    writer:discard()
    writer:discard()
    for _, method in ipairs { "page", "row", "columns", "commit" } do
      raises("closed", writer[method], writer, {})
    end
    assert.is_nil(slurp(path))
  end)

  it("writes a large page in blocks", function()
    local rows = {}
    for i = 1, 20000 do rows[i] = { tostring(i), ("x"):rep(i % 50) } end
    local text, n = write({ eol = "\n" }, { page_of({ { "a" }, { "b" } }, rows) })
    assert.equal(20000, n)
    local i = 0
    for line in text:gmatch "[^\n]+" do
      if i > 0 then
        assert(line == i .. "," .. (#rows[i][2] == 0 and '""' or rows[i][2]))
      end
      i = i + 1
    end
    assert.equal(20001, i)
  end)

  it("writes a cell larger than any block", function()
    local large = ('"\n,é'):rep(100000)
    assert.same({ { "a" }, { large } }, read_csv(write({}, { page_of({ { "a" } },
      { { large } }) }), "\r\n"))
  end)
end)

teardown(function() os.remove(path) end)
