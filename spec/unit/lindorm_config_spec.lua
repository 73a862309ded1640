-- Configs of bulk loads: what the builders make and refuse, what validate says
-- of a spec, and the form it shows. Nothing is sent.

local taskclient = require "taskclient"
local lindorm = taskclient.lindorm

local client = assert(taskclient.lindorm { url = "http://127.0.0.1:1/" })

local function unescape(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function decoded(body)
  local fields = {}
  for name, value in body:gmatch "([^&=]+)=([^&]*)" do
    fields[unescape(name)] = unescape(value)
  end
  return fields
end

local function spec(more)
  local given = {
    src = "landing", dst = "ld", instances = 2, file_type = "Parquet",
    reader = { filePath = "day/", column = { "id", "n" } },
    writer = { namespace = "default", lindormTable = "t", columns = { "ROW||String", "f:n||Int" } },
  }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

local function fields_of(more)
  local list, body = client:validate(spec(more))
  assert.same({}, list)
  return decoded(body)
end

local function complaints(more)
  return table.concat((client:validate(spec(more))), "\n")
end

local function refused(pattern, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, "nothing was refused where this was expected: " .. pattern)
  assert.matches(pattern, message)
end

describe("the published example", function()
  it("gives exactly its fields, typed as a user would", function()
    local list, body = client:validate {
      src = "hdfs", dst = "ld", instances = 5,
      reader = lindorm.parquet {
        path = "parquet/",
        columns = { "id", "intcol", "doublecol", "stringcol", "string1col", "decimalcol" },
      },
      writer = lindorm.table {
        table = "bulkload_test",
        columns = {
          { row = true, type = "String" }, { name = "intcol", type = "Int" },
          { name = "doublecol", type = "Double" }, { name = "stringcol", type = "String" },
          { name = "string1col", type = "String" }, { name = "decimalcol", type = "Decimal" },
        },
      },
    }
    assert.same({}, list)
    local fields = decoded(body)
    local core = require "taskclient.core"
    assert.same({
      filePath = "parquet/",
      column = { "id", "intcol", "doublecol", "stringcol", "string1col", "decimalcol" },
    }, core.decode(fields.readerConfig))
    assert.same({
      columns = { "ROW||String", "f:intcol||Int", "f:doublecol||Double", "f:stringcol||String",
        "f:string1col||String", "f:decimalcol||Decimal" },
      namespace = "default", lindormTable = "bulkload_test", compression = "zstd",
    }, core.decode(fields.writerConfig))
    fields.readerConfig, fields.writerConfig = nil, nil
    assert.same({ src = "hdfs", dst = "ld", driverSpec = "large", instances = "5",
      fileType = "Parquet" }, fields)
  end)

  it("goes through as ready JSON text, byte for byte", function()
    local reader = [[{"filePath":"parquet/","column":["id", "n"]}]]
    local writer = [[ {"lindormTable":"t","columns":["ROW||String","f:n||Int"]}]]
    local fields = fields_of { reader = reader, writer = writer }
    assert.equals(reader, fields.readerConfig)
    assert.equals(writer, fields.writerConfig)
  end)
end)

describe("a form", function()
  it("encodes every byte that a form could take for something else", function()
    local odd = "&=+%; \"\\'\r\n\228\184\173\240\159\154\154"
    local _, body = client:validate(spec { dst = odd, extra = { ["a&=+%"] = odd } })
    assert.is_nil(body:find "[^%w%%&=._~-]")
    assert.equals(odd, decoded(body).dst)
    assert.equals(odd, decoded(body)["a&=+%"])
  end)

  it("keeps the order of columns and empty arrays", function()
    local fields = fields_of {
      reader = { filePath = "d/", column = { "z", "a", "m" } },
      writer = { lindormTable = "t", columns = { "ROW||Int", "f:z||Int", "f:b||Int" },
        timestamp = 1 },
    }
    assert.equals('{"column":["z","a","m"],"filePath":"d/"}', fields.readerConfig)
    local _, body = client:validate(spec {
      reader = { filePath = "d/", column = {}, partition = taskclient.array {} },
      writer = { lindormTable = "t", columns = {} },
    })
    assert.equals('{"column":[],"filePath":"d/","partition":[]}', decoded(body).readerConfig)
    assert.equals('{"columns":[],"lindormTable":"t"}', decoded(body).writerConfig)
  end)

  it("holds Spark's text as it is, a table only by the caller's own function", function()
    assert.equals("a=1,b=2", fields_of { spark = "a=1,b=2" }.sparkAdditionalParams)
    assert.equals("--conf x=y", fields_of {
      spark = { "x=y" }, spark_encode = function(t) return "--conf " .. t[1] end,
    }.sparkAdditionalParams)
    assert.matches("spark_encode", complaints { spark = { x = "y" } })
    assert.matches("gave no text", complaints { spark = {}, spark_encode = function() end })
    assert.matches("spark.master cannot be set", complaints { spark = "spark.master=local" })
  end)

  it("takes further fields as text, none of its own", function()
    local fields = fields_of { extra = { sample = 3, ratio = 0.5, on = true, text = "x" } }
    assert.equals("3", fields.sample)
    assert.equals("0.5", fields.ratio)
    assert.equals("true", fields.on)
    assert.matches("'src' is no further field", complaints { extra = { src = "x" } })
    assert.matches("is no further field", complaints { extra = { ["a\0b"] = "x" } })
    assert.matches("extra.x': text expected, got table", complaints { extra = { x = {} } })
  end)
end)

describe("validate", function()
  it("names all that is wrong, not the first alone", function()
    local list, body = client:validate { src = 1, readr = {}, instances = 0 }
    assert.is_nil(body)
    assert.same({
      "field 'dst' is missing", "field 'instances': whole number from 1 expected, got 0",
      "field 'reader' is missing", "field 'src': non-empty string expected, got 1",
      "field 'writer' is missing", "unknown field 'readr'; did you mean 'reader'?",
    }, list)
  end)

  it("names what is doubtful beside what is wrong", function()
    local list, body = client:validate { src = "a", dst = "b", driver_spec = "huge",
      reader = { filePath = "1.csv" }, writer = { lindormTable = "a.b" } }
    assert.is_nil(body)
    assert.same({
      "field 'instances' is missing",
      "field 'driver_spec': small, medium, large or xlarge expected, not 'huge'",
      "reader.filePath: a folder is wanted, '1.csv' looks like a file (a folder: write '1.csv/')",
      "file_type is missing: with a source on HDFS it must be given",
      "writer.lindormTable: a.b; the namespace is a key of its own",
    }, list)
    list = client:validate(spec { reader = "{", driver_spec = "huge" })
    assert.equals(2, #list) -- and not what a config that cannot be read lacks
    list = client:validate(spec { reader = lindorm.table { table = "t", columns = { "a", "b" } } })
    assert.same({ "the reader was made by a builder of writers" }, list)
  end)

  local DOUBTS = {
    { "'driver_spec': small, .* expected, not 'huge'", { driver_spec = "huge" } },
    { "file_type: .*not ORC", { file_type = "ORC" } },
    { "file_type: .*not parquet", { file_type = "parquet" } },
    { "'filepath'; did you mean 'filePath'",
      { reader = { filepath = "x/", column = { "a", "b" } } } },
    { "a folder is wanted, 'x/1.csv'",
      { reader = { filePath = "x/1.csv", column = { "a", "b" } } } },
    { "have 1 and 2 columns", { reader = { filePath = "x/", column = { "a" } } } },
    { "names the column a twice", { reader = { filePath = "x/", column = { "a", "a" } } } },
    { "CSV files need types", { file_type = "CSV" } },
    { "lindormTable is missing", { writer = { columns = { "a", "b" } } } },
    { "compression: .*not gzip",
      { writer = { lindormTable = "t", columns = { "a", "b" }, compression = "gzip" } } },
    { "no map has the type 'Strnig'",
      { writer = { lindormTable = "t", columns = { "ROW||Strnig", "f:b||Int" } } } },
    { "SQL columns and HBase columns", { writer = { lindormTable = "t",
      columns = { "ROW||Int", "b" } } } },
    { "0 row keys", { writer = { lindormTable = "t", columns = { "f:a||Int", "f:b||Int" } } } },
    { "reader: .*JSON", { reader = "{" } },
    { "reader: a table or the JSON text of an object expected", { reader = "day/" } },
    { "reader.column: a list expected", { reader = { filePath = "x/", column = "a,b" } } },
    { "writer.columns: a list expected",
      { writer = { lindormTable = "t", columns = { a = "Int" } } } },
    { "'id|INT64': only the columns of CSV files", { reader = lindorm.parquet { path = "d/",
      columns = { "id|INT64", "n" } } } },
    { "file_type: Parquet, though the reader was made for CSV",
      { reader = lindorm.csv { path = "d/", columns = { "a|int", "b|int" } } } },
    { "'ROW|Int': .* with two bars", { writer = { lindormTable = "t",
      columns = { "ROW|Int", "f:b|Int" } } } },
    { "lindormTable: a.b; the namespace",
      { writer = { lindormTable = "a.b", columns = { "x", "y" } } } },
    { "'driverSpec' .*one of the spec's own", { extra = { driverSpec = "large" } } },
    { "'extra': names and their texts", { extra = { "a=b" } } },
    { "'driverSpec' .*of the spec's own", { extra = { driverSpec = "large" } } },
    { "made by a builder of readers",
      { writer = lindorm.parquet { path = "d/", columns = { "a" } } } },
    { "writer: a JSON object expected", { writer = "[1]" } },
    { "writer: a JSON object expected", { writer = { "a" } } },
    { "reader.x: a function has no JSON form", { reader = { x = print } } },
    { "not UTF%-8", { reader = { filePath = "\255" } } },
    { "field 'dst': not UTF%-8 at byte 2", { dst = "a\255" } },
    { "field 'spark': not UTF%-8", { spark = "\255" } },
    { "field extra.x: not UTF%-8", { extra = { x = "\255" } } },
    { "field extra.*: not UTF%-8", { extra = { ["\255"] = "x" } } },
  }
  for _, case in ipairs(DOUBTS) do
    it("says " .. case[1], function() assert.matches(case[1], complaints(case[2])) end)
  end

  it("still shows the form of what is merely doubtful", function()
    local list, body = client:validate(spec { spark = "spark.master=x", file_type = "ORC" })
    assert.equals(2, #list)
    assert.equals("spark.master=x", decoded(body).sparkAdditionalParams)
    assert.equals("ORC", decoded(body).fileType)
  end)
end)

describe("a builder", function()
  local good = { path = "d/", columns = { { "id", "bigint" }, "name|string" } }

  it("makes readers of each kind", function()
    assert.same({ filePath = "d/", column = { "id|bigint", "name|string" }, header = true,
      delimiter = "\t" },
      lindorm.csv { path = "d/", columns = good.columns, header = true, delimiter = "\t" })
    assert.same({ filePath = "d/", column = { "id:bigint" }, delimite = ";" }, lindorm.csv {
      path = "d/", columns = { { "id", "bigint" } }, separator = ":", delimiter = ";",
      delimiter_key = "delimite",
    })
    assert.same({ filePath = "d/", column = { "a", "b" } },
      lindorm.orc { path = "d/", columns = { "a", { "b", "LONG" } } })
    assert.same({ table = "t", column = { "a" }, partition = { "pt=1" }, numPartitions = 4 },
      lindorm.odps { table = "t", columns = { "a" }, partition = "pt=1", partitions = 4 })
    assert.equals("", lindorm.odps { table = "t", columns = { "a" }, partition = "" }.partition)
  end)

  it("takes names and types by name too", function()
    local reader = lindorm.csv { path = "d/", columns = { { name = "id", type = "bigint" } } }
    assert.same({ "id|bigint" }, reader.column)
    reader = lindorm.parquet { path = "d/", columns = { { name = "id", type = "INT64" } } }
    assert.same({ "ROW||Long" }, lindorm.table { table = "t", from = reader, row = "id" }.columns)
  end)

  it("gives cells the family that the table names", function()
    assert.same({ "ROW||Int", "g:a||Int", "h:b||Int" }, lindorm.table { table = "t", family = "g",
      columns = { { row = true, type = "Int" }, { name = "a", type = "Int" },
        { family = "h", name = "b", type = "Int" } } }.columns)
  end)

  it("gives the file type along", function()
    local writer = lindorm.table { table = "t", columns = { "id", "name" } }
    local given = spec { reader = lindorm.csv(good), writer = writer }
    local _, body = client:validate(given)
    assert.equals("Parquet", decoded(body).fileType) -- the caller's word comes first
    given.file_type = nil
    assert.equals("CSV", decoded(select(2, client:validate(given))).fileType)
  end)

  it("derives the writer's columns from the reader's", function()
    local reader = lindorm.parquet { path = "d/", columns = { { "id", "INT64" },
      { "name", "BINARY (UTF-8)" }, { "price", "FIXED_LEN_BYTE_ARRAY (DECIMAL)" } } }
    assert.same({ "id", "name", "price" }, lindorm.table { table = "t", from = reader }.columns)
    assert.same({ "ROW||Long", "g:name||String", "g:price||Decimal" },
      lindorm.table { table = "t", from = reader, row = "id", family = "g" }.columns)
    assert.same({ "ROW||Long", "f:name||String" },
      lindorm.table { table = "t", from = lindorm.csv(good), row = "id" }.columns)
  end)

  it("never changes the case of a type", function()
    local writer = lindorm.table { table = "t",
      columns = { { row = true, type = "STRING" }, { name = "a", type = "int" } } }
    assert.same({ "ROW||STRING", "f:a||int" }, writer.columns)
  end)

  local columns = { "a" }
  local MISTAKES = {
    { "a folder is wanted, 'd/1.parquet'", "parquet", { path = "d/1.parquet", columns = columns } },
    { "a folder is wanted", "csv", { path = "d/a.CSV", columns = { "a|int" } } },
    { "a folder is wanted", "orc", { path = "*.orc", columns = columns } },
    { "no column", "parquet", { path = "d/", columns = {} } },
    { "'columns'%[2%]: a name expected", "parquet", { path = "d/", columns = { "a", 7 } } },
    { "no map has the type 'INT65'; known: binary", "parquet",
      { path = "d/", columns = { { "a", "INT65" } } } },
    { "'columns'%[1%]: a name and a type expected", "csv", { path = "d/", columns = { "a" } } },
    { "a name and a type expected", "csv", { path = "d/", columns = { "a|" } } },
    { "no map has the type 'bigintt'", "csv", { path = "d/", columns = { { "a", "bigintt" } } } },
    { "unknown field 'headr'; did you mean 'header'", "csv",
      { path = "d/", columns = { "a|int" }, headr = true } },
    { "write 'd/1.parquet/'", "parquet", { path = "d/1.parquet", columns = columns } },
    { "a list expected", "parquet", { path = "d/", columns = { id = "INT64" } } },
    { "a list expected", "csv", { path = "d/", columns = { id = "int" } } },
    { "a list expected", "table", { table = "t", columns = { id = "Int" } } },
    { "'row': goes with 'from'", "table", { table = "t", columns = { "id", "n" }, row = "id" } },
    { "'family': columns that are only names", "table",
      { table = "t", columns = { "id", "n" }, family = "g" } },
    { "'family': goes with 'row'", "table",
      { table = "t", family = "g", from = lindorm.parquet { path = "d/", columns = columns } } },
    { "field 'table' is missing", "odps", { columns = columns } },
    { "no map has the type 'int'", "odps", { table = "t", columns = { { "a", "int" } } } },
    { "no type 'Strnig'; known: Boolean", "table",
      { table = "t", columns = { { row = true, type = "Strnig" } } } },
    { "no type 'Intt'", "table", { table = "t", columns = { "f:a||Intt" } } },
    { "'columns'%[1%]: a name expected", "table", { table = "t", columns = { { type = "Int" } } } },
    { "SQL columns %(names%) and HBase columns", "table",
      { table = "t", columns = { "a", "f:b||Int" } } },
    { "zstd or none, not 'gzip'", "table",
      { table = "t", columns = columns, compression = "gzip" } },
    { "'columns' or field 'from'", "table", { table = "t" } },
    { "a reader made by", "table", { table = "t", from = { column = columns } } },
    { "a reader made by", "table",
      { table = "t", from = lindorm.table { table = "u", columns = columns } } },
    { "has no column 'b'", "table",
      { table = "t", row = "b", from = lindorm.csv { path = "d/", columns = { "a|int" } } } },
    { "tables lack: INT96", "table", { table = "t", row = "a",
      from = lindorm.parquet { path = "d/", columns = { { "a", "INT96" } } } } },
    { "no type that is known", "table",
      { table = "t", row = "a", from = lindorm.parquet { path = "d/", columns = columns } } },
  }
  for _, case in ipairs(MISTAKES) do
    it(("of %s explains: %s"):format(case[2], case[1]), function()
      local line = debug.getinfo(1, "l").currentline + 1
      local ok, message = pcall(function() local made = lindorm[case[2]](case[3]) return made end)
      assert.is_false(ok)
      assert.matches(case[1], message)
      assert.matches("lindorm_config_spec.lua:" .. line .. ":", message)
    end)
  end

  it("refuses a pair that does not fit, at submit, before anything is sent", function()
    local reader = lindorm.parquet { path = "d/", columns = { { "a", "INT64" }, "b" } }
    refused("the reader has 2 columns, the writer 1", client.submit, client,
      spec { reader = reader, writer = lindorm.table { table = "t", columns = { "a" } } })
    refused("column 1: INT64 of Parquet becomes Long", client.submit, client, spec {
      reader = reader, writer = lindorm.table { table = "t", columns = { "ROW||Int", "f:b||Int" } },
    })
  end)
end)

describe("a config that was changed after it was built", function()
  it("is judged as it is", function()
    local reader = lindorm.csv { path = "d/", columns = { { "id", "bigint" } } }
    local writer = lindorm.table { table = "t", columns = { "id", "n" } }
    reader.column[2] = "n|int"
    local list, body = client:validate {
      src = "a", dst = "b", instances = 1, reader = reader, writer = writer,
    }
    assert.same({}, list)
    assert.equals('["id|bigint","n|int"]', decoded(body).readerConfig:match "%[.-%]")
  end)
end)

describe("a client of Lindorm", function()
  it("refuses states that are none of ours, credentials that are half", function()
    for _, options in ipairs { { states = { DONE = "ended" } }, { states = { "succeeded" } },
      { user = "u" }, { password = "p" }, { cookies = { "sid=7" } }, { cookies = { sid = {} } },
      { cookies = { sid = "7; admin=1" } }, { cookies = { ["a=b"] = "c" } },
      { url = "http://u:p@h/" }, { url = "h:12311" } } do
      options.url = options.url or "http://127.0.0.1:1"
      assert.has_error(function() taskclient.lindorm(options) end)
    end
  end)

  it("tells what is doubtful to its log, and nothing else", function()
    local events = {}
    local talker = assert(taskclient.lindorm {
      url = "http://127.0.0.1:1/", log = function(level, event)
        if event.what == "doubtful" then events[#events + 1] = level .. " " .. event.message end
      end,
    })
    talker:submit(spec { file_type = "ORC" })
    assert.same({ "warn file_type: CSV and Parquet are known, not ORC" }, events)
    refused("'driver_spec': small", talker.submit, talker, spec { driver_spec = "huge" })
  end)
end)
