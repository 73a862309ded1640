-- Decoding, ours against lua-cjson on the same bytes: a 5,000-row result page
-- to Lua rows and to CSV, and a status reply to the words that are wanted of it.
-- Two pages: one of short cells only, where Lua's own interning of 40,000
-- strings is most of the time of either, and one that has a text column too.
-- Prints ratios, medians of several runs that take turns. lua spec/bench/decode.lua

local core = require "taskclient.core"
local report = require "spec.bench.report"
local found, cjson = pcall(require, "cjson")
if not found then
  print "decode: nothing to compare with; apt-get install lua-cjson"
  os.exit(0)
end

local RUNS = 9
local ROWS = 5000

local median = report.median

local function sample(times, work)
  collectgarbage()
  local from = os.clock()
  for _ = 1, times do work() end
  return (os.clock() - from) / times
end

-- the two take turns, so that a busy moment of the machine hits both
local function compare(what, aim, times, ours, theirs)
  local a, b = {}, {}
  for run = 1, RUNS do
    a[run], b[run] = sample(times, ours), sample(times, theirs)
  end
  a, b = median(a), median(b)
  report.line(what, ("%.3f ms"):format(a * 1e3), ("%.3f ms"):format(b * 1e3), b / a, aim)
end

-- ---- the page: ids, words, times, decimals, NULLs, a few that need quoting ----

local types = {
  "bigint", "string", "string", "timestamp", "decimal(18,4)", "double", "string", "int",
}

local function short_cells(i)
  return {
    tostring(100000 + i),
    "customer-" .. i * 7919 % 100003,
    i % 7 == 0 and cjson.null or ("street %d, flat %d"):format(i % 977, i % 31),
    ("2026-01-%02d %02d:%02d:%02d.0"):format(i % 28 + 1, i % 24, i % 60, i * 7 % 60),
    ("%d.%04d"):format(i * 31, i % 10000),
    tostring(i / 8),
    i % 50 == 0 and 'said "yes"\nand went' or "active",
    tostring(i % 100),
  }
end

local function cells_with_text(i)
  local row = short_cells(i)
  row[2] = ("Order %d of customer %d, to be delivered before noon at the back door"):format(i,
    i * 7919 % 100003)
  row[3] = ("https://shop.example/orders/%d/items?page=%d&sort=date"):format(i * 31, i % 9)
  return row
end

-- the data of an openFile reply, in the order of a real server: the rows last
local function make_page(cells)
  local columns, rows = {}, {}
  for i, word in ipairs(types) do
    columns[i] = { columnName = "column_" .. i, comment = "", dataType = word }
  end
  for i = 1, ROWS do rows[i] = cells(i) end
  local form = '{"metadata":%s,"totalPage":0,"totalColumn":%d,"totalLine":%d,"page":1,"type":"2",'
    .. '"fileContent":%s}'
  return form:format(cjson.encode(columns), #types, ROWS, cjson.encode(rows))
end

local function reply_of(data)
  return '{"method":"/api/filesystem/openFile","status":0,"message":"OK","data":' .. data .. "}"
end

local function same_rows(data)
  local ours, theirs = core.page(data).rows, cjson.decode(data).fileContent
  assert(#ours == #theirs)
  for i = 1, #ours do
    for k = 1, #types do assert(ours[i][k] == theirs[i][k]) end
  end
end

-- ---- CSV by hand, as correct as ours: quotes doubled, NULL and "" apart ----

local function csv_cell(value)
  if value == cjson.null then
    return ""
  elseif value == "" or value:find '[,"\r\n]' then
    return '"' .. value:gsub('"', '""') .. '"'
  end
  return value
end

local function csv_by_hand(path, reply)
  local page = cjson.decode(reply).data
  local lines, line = {}, {}
  for i, column in ipairs(page.metadata) do
    line[i] = csv_cell(column.columnName)
  end
  lines[1] = table.concat(line, ",")
  for i, row in ipairs(page.fileContent) do
    for k = 1, #types do
      line[k] = csv_cell(row[k])
    end
    lines[i + 1] = table.concat(line, ",")
  end
  lines[#lines + 1] = ""
  local file = assert(io.open(path, "wb"))
  file:write(table.concat(lines, "\r\n"))
  file:close()
end

local path = os.tmpname()

local function csv_by_writer(data)
  local writer = assert(core.writer(path, { overwrite = true }))
  assert(writer:page(data))
  return writer
end

local function content()
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function same_csv(data)
  csv_by_hand(path, reply_of(data))
  local theirs = content()
  assert(csv_by_writer(data):commit())
  assert(content() == theirs)
end

-- ---- a status reply: the history record of one job, for its state ----

local status_reply = '{"method":"/api/jobhistory/39/get","status":0,"message":"OK",'
  .. '"data":{"task":{"taskID":39,'
  .. '"instance":"127.0.0.1:9104","execId":"NIGHTLY_hadoop_spark_0","umUser":"hadoop",'
  .. '"executeUser":"hadoop",'
  .. '"engineInstance":"127.0.0.1:38409","executionCode":null,"progress":"0.4",'
  .. '"logPath":"hdfs:///logs/39.log",'
  .. '"resultLocation":"hdfs:///results/39","status":"Running","createdTime":1795312297000,'
  .. '"updatedTime":1795312317733,'
  .. '"engineType":"spark","errCode":0,"errDesc":"","executeApplicationName":"spark",'
  .. '"requestApplicationName":"NIGHTLY",'
  .. '"runType":"sql","paramsJson":"{\\"configuration\\":{\\"runtime\\":{},\\"startup\\":{}},'
  .. '\\"variable\\":{}}",'
  .. '"costTime":20000,"strongerExecId":"exec_id018014linkis-cg-entrance'
  .. '127.0.0.1:9104NIGHTLY_hadoop_spark_0",'
  .. '"sourceJson":"{\\"scriptPath\\":\\"nightly.sql\\"}","sourceTailor":"nightly.sql",'
  .. '"engineStartTime":null,'
  .. '"labels":["userCreator:hadoop-NIGHTLY","codeType:sql","engineType:spark-3.2.1"],'
  .. '"canRetry":false,'
  .. '"observeInfo":null,"isReuse":null,"requestStartTime":1795312297000,"requestEndTime":null}}}'

local picker = core.picker { "task.status", "task.progress" }

local function picked()
  local ok, state, progress = core.pick(status_reply, picker)
  assert(ok and state == "Running" and progress == "0.4")
end

local function decoded()
  local body = cjson.decode(status_reply)
  local task = body.data.task
  assert(body.status == 0 and task.status == "Running" and task.progress == "0.4")
end

local function compare_page(name, data)
  local reply = reply_of(data)
  same_rows(data)
  same_csv(data)
  print(("  %s: %d rows of %d cells, %d bytes"):format(name, ROWS, #types, #reply))
  compare("to Lua rows", ">= 2", 4, function() core.page(data) end,
    function() cjson.decode(reply) end)
  compare("to CSV", ">= 4", 4, function() csv_by_writer(data):discard() end,
    function() csv_by_hand(path, reply) end)
end

local jit = rawget(_G, "jit")
report.heading("decoding, " .. (jit and jit.version or _VERSION), "lua-cjson")
compare_page("page of short cells", make_page(short_cells))
compare_page("page with texts", make_page(cells_with_text))
compare("status reply, two values", ">= 5", 4000, picked, decoded)
os.remove(path)
