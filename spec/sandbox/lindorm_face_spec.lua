-- The Lindorm face: the published shapes, loads that really fill a table, and every dialect of
-- its answers.

local cjson = require "cjson"
local http = require "spec.sandbox.http"
local process = require "spec.support.process"
local sandbox = require "taskclient.sandbox"
local wait = require "spec.support.wait"

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

describe("lindorm face", function()
  local box, root

  setup(function()
    root = process.tempdir()
    for _, name in ipairs { "plain", "bad", "long", "tabs", "empty", "unkeyed" } do
      os.execute("mkdir " .. root .. "/" .. name)
    end
    write(root .. "/plain/1.csv",
      'id,name,n\r\n1,"a, b",5\r\n2,"two\r\nlines ""q""",\r\n3,,7\r\n4,"",-8\r\n')
    write(root .. "/plain/2.csv", "n,id,name\n9,5,\228\184\173")
    write(root .. "/bad/1.csv", "1,one\n2,two\nthree,3\n4,four\n")
    write(root .. "/tabs/1.csv", "1\tx,y\t1.50\ttrue\n2\t'\t-0.25\t0\n")
    local lines = {}
    for i = 1, 3000 do lines[i] = ("%d,name %d\n"):format(i, i) end
    write(root .. "/long/1.csv", table.concat(lines, "", 1, 1500))
    write(root .. "/long/2.csv", table.concat(lines, "", 1501, 3000))
    write(root .. "/unkeyed/1.csv", table.concat(lines))
    box = assert(sandbox.start {
      lindorm = {
        sources = { landing = root }, create_tables = true,
        tables = { ["default.declared"] = { "id BIGINT PRIMARY KEY", "name VARCHAR",
          "price DECIMAL", "ok BOOLEAN" } },
      },
    })
  end)

  teardown(function()
    box:stop()
    os.execute("rm -rf " .. process.quote(root))
  end)

  local function form(folder, table_name, reader, writer, more)
    local fields = {
      src = "landing", dst = "warehouse", driverSpec = "large", instances = "2", fileType = "CSV",
      readerConfig = cjson.encode(reader), writerConfig = cjson.encode {
        namespace = "default", lindormTable = table_name, columns = writer, compression = "zstd",
      },
    }
    if not reader.filePath then
      reader.filePath = folder .. "/"
      fields.readerConfig = cjson.encode(reader)
    end
    for name, value in pairs(more or {}) do fields[name] = value ~= "" and value or nil end
    return fields
  end

  local function call(path)
    local body, code = http.lindorm(box, path)
    local ok, reply = pcall(cjson.decode, body)
    return ok and reply, code, body
  end

  local function create(...)
    local body, code = http.lindorm(box, "/pro/proc/bulkload/create", form(...))
    assert.are.equal(200, code)
    local reply = cjson.decode(body)
    assert.are.equal("true", reply.success, body)
    return reply.message
  end

  local function info(id) return call("/pro/proc/" .. id .. "/info").data end

  local function ended(id)
    return wait.eventually(function()
      local data = info(id)
      return data.state ~= "RUNNING" and data
    end, 20, "the end of " .. id)
  end

  local COLUMNS = { "id", "name", "n" }
  local CELLS = { "ROW||String", "f:name||String", "f:n||Long" }
  local LONG = { "ROW||Long", "f:name||String" }

  it("answers create and info in the published shapes", function()
    local body, code = http.lindorm(box, "/pro/proc/bulkload/create",
      form("plain", "shapes", { header = true, column = COLUMNS }, CELLS))
    assert.are.equal(200, code)
    local id = body:match '^{"success":"true","message":"(proc%-%d+%-%x+)"}$'
    assert.are.equal(32, #id:match "%x+$")
    local data = ended(id)
    assert.are.equal("SPARK_BULKLOAD", data.procType)
    assert.are.equal("landing", data.srcDS)
    assert.are.equal("warehouse", data.sinkDS)
    assert.are.equal(id, data.procId)
    assert.are.equal("SUCCEEDED", data.state)
    assert.are.equal("table", type(data.procConfig))
    assert.are.equal("SUCCEEDED", data.schemaJob.state)
    assert.are.equal(2, #data.fullJobs)
    assert.are.equal("default.shapes", data.fullJobs[1].table)
    assert.are.same({}, data.incrJobs)
    assert.are.same({}, data.checkJobs)
  end)

  it("reads CSV as RFC 4180 has it, by the header's names, NULL apart from empty", function()
    ended(create("plain", "users", { header = "true", column = COLUMNS }, CELLS))
    assert.are.same({
      { "1", "a, b", 5 }, { "2", 'two\r\nlines "q"', false }, { "3", false, 7 }, { "4", "", -8 },
        { "5", "\228\184\173", 9 },
    }, box:query 'select * from "default.users" order by ROW')
  end)

  it("takes either spelling of the delimiter, types in the reader's columns, a declared table",
    function()
    for _, name in ipairs { "delimite", "delimiter" } do
      local data = ended(create("tabs", "declared", {
        [name] = "\t", header = false, column = { "id|bigint", "name|string", "price|decimal",
          "ok|boolean" },
      }, { "id", "name", "price", "ok" }))
      assert.are.equal("SUCCEEDED", data.state, data.message)
    end
    assert.are.same({ { 1, "x,y", "1.50", 1 }, { 2, "'", "-0.25", 0 } },
      box:query 'select * from "default.declared"')
  end)

  it("ends in FAILED with the place of the bad row; retry goes on after a repair", function()
    local id = create("bad", "repaired", { column = { "id", "name" } }, LONG)
    local data = ended(id)
    assert.are.equal("FAILED", data.state)
    assert.matches("1.csv, line 3: column id: 'three' is no Long", data.message, 1, true)
    assert.matches("2 rows", data.message, 1, true)
    assert.are.equal("FAILED", data.fullJobs[1].state)
    write(root .. "/bad/1.csv", "1,one\n2,two\n3,three\n4,four\n")
    assert.are.equal("ok", call("/pro/proc/" .. id .. "/retry").message)
    assert.are.equal("SUCCEEDED", ended(id).state)
    assert.are.same({ { 4, 10 } }, box:query 'select count(*), sum(ROW) from "default.repaired"')
  end)

  it("goes on behind a bad file that was taken away, and loses none of the next", function()
    os.execute("mkdir " .. root .. "/taken")
    for i, text in ipairs { "1,one\n", "2,two\n3,three\nfour,4\n", "5,five\n6,six\n7,seven\n" } do
      write(("%s/taken/%d.csv"):format(root, i), text)
    end
    local id = create("taken", "taken", { column = { "id", "name" } }, LONG)
    assert.are.equal("FAILED", ended(id).state)
    os.remove(root .. "/taken/2.csv")
    assert.are.equal("ok", call("/pro/proc/" .. id .. "/retry").message)
    assert.are.equal("SUCCEEDED", ended(id).state)
    assert.are.same({ { 6, 24 } }, box:query 'select count(*), sum(ROW) from "default.taken"')
  end)

  for name, reader, writer, path, reason in (function()
    local cases = {
      { "a missing folder", { column = COLUMNS }, CELLS, "nowhere", "does not exist" },
      { "a file in place of a folder", { column = COLUMNS, filePath = "plain/1.csv" }, CELLS, nil,
        "not a directory" },
      { "a folder without files", { column = COLUMNS }, CELLS, "empty", "holds no file" },
      { "a way out of the source", { column = COLUMNS, filePath = "../" }, CELLS, nil,
        "leaves the source" },
      { "a MaxCompute table", { table = "orders", column = COLUMNS }, CELLS, "plain",
        "reads files, not the MaxCompute table orders" },
      { "unequal columns", { column = { "id" } }, CELLS, "plain", "1 columns, writerConfig 3" },
      { "an unknown type", { column = { "id", "name", "n" } },
        { "ROW||Strnig", "f:a||Int", "f:b||Int" }, "plain", "Strnig" },
      { "a short row", { column = { "a", "b", "c", "d" } }, { "ROW||String", "f:b", "f:c", "f:d" },
        "plain", "fields" },
    }
    local i = 0
    return function()
      i = i + 1
      if cases[i] then return table.unpack(cases[i], 1, 5) end
    end
  end)() do
    it("fails " .. name, function()
      local data = ended(create(path, "never_" .. name:gsub(" ", "_"), reader, writer))
      assert.are.equal("FAILED", data.state)
      assert.matches(reason, data.message, 1, true)
    end)
  end

  it("says what to install for Parquet and ORC, or reads them", function()
    write(root .. "/empty/a.parquet", "no parquet")
    local data = ended(create("empty", "parquet", { column = { "id", "name" } }, LONG,
      { fileType = "Parquet" }))
    os.remove(root .. "/empty/a.parquet")
    assert.are.equal("FAILED", data.state)
    assert.is_truthy(data.message:find("pip install pyarrow", 1, true)
      or data.message:find("a.parquet", 1, true))
  end)

  it("moves through its stages, and shows its sub-jobs on the way", function()
    local order, all = nil, "SCHEMA FULL MERGE WAIT_FOR_SUCCESS$"
    for _, delay in ipairs { 0.15, 0.6, 2.4 } do -- a slow machine looks seldom
      box:set { stage_delay = delay }
      local id = create("plain", "staged", { header = true, column = COLUMNS }, CELLS)
      order = {}
      wait.eventually(function()
        local data = info(id)
        if data.stage ~= order[#order] then order[#order + 1] = data.stage end
        return data.state ~= "RUNNING"
      end, 30)
      if table.concat(order, " "):find(all) then break end
    end
    box:set { stage_delay = 0 }
    assert.matches(all, table.concat(order, " "))
  end)

  for _, case in ipairs { { "long", "keyed", LONG },
    { "unkeyed", "plain_sql", { "id", "name" } } } do
    it("stops half-way on abort, says how far it was, and does not double rows on retry: "
      .. case[2], function()
      box:set { rows_per_second = 500 }
      local id = create(case[1], case[2], { column = { "id|long", "name" } }, case[3])
      wait.eventually(function() return info(id).rows >= 200 end, 10, "the first rows")
      assert.are.equal("ok", call("/pro/proc/" .. id .. "/abort").message)
      local data = info(id)
      local in_table = box:query(('select count(*) from "default.%s"'):format(case[2]))[1][1]
      assert.are.equal("ABORTED", data.state)
      assert.are.equal(in_table, data.rows)
      assert.is_true(in_table >= 200 and in_table < 3000)
      assert.matches(("%d rows"):format(in_table), data.message, 1, true)
      assert.are.equal("false", call("/pro/proc/" .. id .. "/abort").success)
      box:set { rows_per_second = 0 }
      assert.are.equal("ok", call("/pro/proc/" .. id .. "/retry").message)
      assert.are.equal("SUCCEEDED", ended(id).state)
      assert.are.equal(3000, info(id).rows)
      assert.are.equal("false", call("/pro/proc/" .. id .. "/retry").success)
      assert.are.same({ { 3000 } },
        box:query(('select count(*) from "default.%s"'):format(case[2])))
    end)
  end

  it("forgets what is deleted, also while it runs", function()
    box:set { rows_per_second = 500 }
    local id = create("long", "deleted", { column = { "id", "name" } }, LONG)
    wait.eventually(function() return info(id).rows > 0 end)
    assert.are.equal("ok", call("/pro/proc/" .. id .. "/delete").message)
    box:set { rows_per_second = 0 }
    local reply, code = call("/pro/proc/" .. id .. "/info")
    assert.are.equal(200, code)
    assert.are.equal("false", reply.success)
    assert.matches("does not exist", reply.message)
  end)

  it("refuses a create that cannot be, with words", function()
    local good = form("plain", "x", { column = COLUMNS }, CELLS)
    for name, value in pairs { src = "", dst = "", readerConfig = "{", writerConfig = "7",
      driverSpec = "huge",
      instances = "none" } do
      local fields = {}
      for key, text in pairs(good) do fields[key] = text end
      fields[name] = value ~= "" and value or nil
      local body = http.lindorm(box, "/pro/proc/bulkload/create", fields)
      local reply = cjson.decode(body)
      assert.are.equal("false", reply.success)
      assert.matches(name, reply.message)
    end
    local body = http.lindorm(box, "/pro/proc/bulkload/create",
      form("plain", "x", { column = COLUMNS }, CELLS, { src = "elsewhere" }))
    assert.matches("elsewhere does not exist", body)
  end)

  it("decodes forms as forms are: plus, percent, the published line breaks, raw JSON", function()
    local odd = 'a+b &=%41"\\\228\184\173'
    local id = create("plain", "odd", { column = COLUMNS, header = true }, CELLS,
      { dst = odd, extra = odd })
    local data = info(id)
    assert.are.equal(odd, data.sinkDS)
    assert.are.equal(odd, data.procConfig.extra)
    local body = http.curl { box.lindorm_url .. "/pro/proc/bulkload/create", "-d", [[src=landing \
&dst=ld&readerConfig={"filePath":"plain/","header":true,"column":["id","name"]}&driverSpec=large]]
      .. [[&writerConfig={"columns":["ROW||String","f:name||String"],"lindormTable":"raw"}]]
      .. "&instances=5&fileType=CSV" }
    assert.matches('"success":"false"', body) -- "landing \" names no source
    assert.matches("landing \\", cjson.decode(body).message, 1, true)
  end)

  it("takes the published skeleton as a shell sends it, with blanks behind each value", function()
    local body = http.curl { box.lindorm_url .. "/pro/proc/bulkload/create", "-d",
      [[src=landing &dst=ld &readerConfig={"filePath":"plain/","header":true,]]
      .. [["column":["id","name"]} &writerConfig={"lindormTable":"raw",]]
      .. [["columns":["ROW||String","f:name||String"]} ]]
      .. "&driverSpec=large &instances=5 &fileType=CSV &sparkAdditionalParams=a%20" }
    local reply = cjson.decode(body)
    assert.are.equal("true", reply.success, reply.message)
    local config = info(reply.message).procConfig
    assert.are.equal("large", config.driverSpec)
    assert.are.equal("a ", config.sparkAdditionalParams) -- what is encoded is meant
  end)

  it("speaks its dialects", function()
    local id = create("plain", "dialects", { header = true, column = COLUMNS }, CELLS)
    ended(id)
    local path = "/pro/proc/" .. id .. "/info"
    box:set { lindorm_success = "boolean" }
    assert.is_true(call(path).success)
    box:set { lindorm_success = "absent" }
    assert.is_nil(call(path).success)
    box:set { lindorm_success = "upper", lindorm_empty = "null" }
    local reply = call(path)
    assert.are.equal("TRUE", reply.success)
    assert.are.equal(cjson.null, reply.data.incrJobs)
    box:set { lindorm_empty = "absent", lindorm_success = "text" }
    assert.is_nil(call(path).data.incrJobs)
    for _, name in ipairs { "jobName", "TaskName", "taskName", "procId", "name" } do
      box:set { lindorm_names = name, lindorm_empty = "array" }
      local data = call(path).data
      assert.are.equal("string", type(data.fullJobs[1][name]))
      assert.are.equal("string", type(data.mergeJobs[1][name]))
    end
    box:set { lindorm_names = "mixed",
      lindorm_words = { SUCCEEDED = "DONE_AND_DUSTED", WAIT_FOR_SUCCESS = "GLOWING" } }
    local data = call(path).data
    assert.are.equal("string", type(data.fullJobs[1].jobName))
    assert.are.equal("string", type(data.mergeJobs[1].TaskName))
    assert.are.equal("DONE_AND_DUSTED", data.state)
    assert.are.equal("GLOWING", data.stage)
    box:set { lindorm_words = {} }
  end)

  it("answers at its worst when told to, as often as told, where told", function()
    local id = create("plain", "worst", { header = true, column = COLUMNS }, CELLS)
    ended(id)
    local path = "/pro/proc/" .. id .. "/info"
    box:set { lindorm_refuse = "no quota", lindorm_match = "info", lindorm_times = 1 }
    assert.are.same({ success = "false", message = "no quota" }, (call(path)))
    assert.are.equal("true", call(path).success)
    box:set { lindorm_refuse = true, lindorm_times = 1 }
    assert.are.equal(cjson.null, call(path).message)
    box:set { lindorm_refuse = false, lindorm_times = -1, lindorm_body = "login" }
    local _, code, body = call(path)
    assert.are.equal(200, code)
    assert.matches("^<!DOCTYPE html>", body)
    box:set { lindorm_body = "sample" }
    _, _, body = call(path)
    assert.matches('"checkJobs": Array', body)
    box:set { lindorm_body = "empty", lindorm_status = 502 }
    _, code, body = call(path)
    assert.are.equal(502, code)
    assert.are.equal("", body)
    box:set { lindorm_body = false, lindorm_status = 0, lindorm_delay = 0.3 }
    local began = wait.now()
    assert.are.equal("true", call(path).success)
    assert.is_true(wait.now() - began >= 0.3)
    box:set { lindorm_delay = 0, lindorm_cut = 17 }
    local out = select(2, process.run { "curl", "-s", box.lindorm_url .. path })
    assert.are.equal(17, #out)
    box:set { lindorm_cut = 0 }
    assert.are.equal("", select(2, process.run { "curl", "-s", box.lindorm_url .. path }))
    box:set { lindorm_cut = false, lindorm_match = "." }
    assert.are.equal("true", call(path).success)
  end)

  it("does the work of a create whose reply is cut", function()
    local made = "select name from sqlite_master where name like 'default.cut%'"
    local before = #box:query(made)
    box:set { lindorm_cut = 10, lindorm_match = "create" }
    local body = http.lindorm(box, "/pro/proc/bulkload/create",
      form("plain", "cut_reply", { header = true, column = COLUMNS }, CELLS))
    box:set { lindorm_cut = false, lindorm_match = "." }
    assert.are.equal(10, #body)
    wait.eventually(function()
      return #box:query(made) == before + 1
    end)
  end)

  it("has nothing but its five operations", function()
    for _, path in ipairs { "/", "/pro/proc", "/pro/proc/list", "/pro/proc/x/pause" } do
      assert.are.equal(404, select(2, call(path)))
    end
    assert.are.equal(405, select(2, call "/pro/proc/bulkload/create"))
    assert.are.equal(405,
      select(2, http.curl { "-X", "POST", box.lindorm_url .. "/pro/proc/x/abort" }))
  end)

  it("answers as the page has it under version published", function()
    box:set { version = "published" }
    local id = create("plain", "published", { header = true, column = COLUMNS }, CELLS)
    local data = ended(id)
    local names = {}
    for name in pairs(data) do names[#names + 1] = name end
    table.sort(names)
    box:set { version = "1.8" }
    assert.are.same({ "checkJobs", "fullJobs", "incrJobs", "mergeJobs", "procConfig", "procId",
      "procType",
      "schemaJob", "sinkDS", "srcDS", "stage", "state" }, names)
  end)
end)
