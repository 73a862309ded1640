-- Counts of instructions in user space, ours against a peer that does the same work: they do not
-- wobble with the machine's load, as times do. Each work runs twice under callgrind, few times
-- and many; the difference is what one costs, so that start-up falls out.
-- make bench COUNT=1, or lua spec/bench/count.lua [row …]

local report = require "spec.bench.report"

local RECORD = "/api/rest_j/v1/jobhistory/39/get"
local ID = "exec_id018014linkis-cg-entrance127.0.0.1:9104IDE_hadoop_spark_0"
local STATUS = "/api/rest_j/v1/entrance/" .. ID .. "/status?taskID=5"
local ROWS = 5000

-- ---- the works; each gives a function that does it once and checks what came ----

local work = {}

function work.status(url)
  local taskclient = require "taskclient"
  local job = assert(taskclient.linkis { url = url, user = "bench", token = "bench" }):attach(39)
  return function()
    local state, native = job:status()
    assert(state == "running" and native == "Running", native)
  end
end

function work.call(url)
  local core = require "taskclient.core"
  local client = assert(core.client("linkis", { url = url }, {}))
  local opts = { pick = core.picker { "status" } }
  return function()
    local call = assert(client:start("status", { id = ID, taskID = 5 }, opts))
    while not call:done() do core.step(0.2) end
    local ok, word = call:result()
    assert(ok and word == "Running", word)
  end
end

local function get(url)
  local pipe = assert(io.popen("curl -s '" .. url .. "'"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

function work.pick(url)
  local core, reply = require "taskclient.core", get(url .. RECORD)
  local picker = core.picker { "task.status", "task.progress", "task.strongerExecId" }
  return function()
    local ok, state, progress, exec = core.pick(reply, picker)
    assert(ok and state == "Running" and progress == "0.4" and exec)
  end
end

function work.cjson_pick(url)
  local cjson, reply = require "cjson", get(url .. RECORD)
  return function()
    local task = cjson.decode(reply).data.task
    assert(task.status == "Running" and task.progress == "0.4" and task.strongerExecId)
  end
end

local WORDS = { "bigint", "string", "double", "string", "timestamp", "int" }

local function page_data()
  local cjson = require "cjson"
  local columns, rows = {}, {}
  for i, word in ipairs(WORDS) do
    columns[i] = { columnName = "column_" .. i, comment = "", dataType = word }
  end
  for i = 1, ROWS do
    rows[i] = {
      tostring(100000 + i), i % 50 == 0 and 'said "yes"' or "customer " .. i * 7919 % 100003,
      tostring(i / 8), i % 7 == 0 and cjson.null or "street " .. i % 977,
      ("2026-01-%02d %02d:%02d:00.0"):format(i % 28 + 1, i % 24, i % 60), tostring(i % 100),
    }
  end
  return ('{"metadata":%s,"totalPage":0,"totalColumn":6,"totalLine":%d,"page":1,"type":"2",'
    .. '"fileContent":%s}'):format(cjson.encode(columns), ROWS, cjson.encode(rows))
end

function work.rows()
  local core, data = require "taskclient.core", page_data()
  return function()
    local page = core.page(data)
    assert(#page.rows == ROWS and page.rows[ROWS][1] == "105000")
  end
end

function work.decode()
  local core, data = require "taskclient.core", page_data()
  return function() assert(#core.decode(data).fileContent == ROWS) end
end

function work.cjson()
  local cjson, data = require "cjson", page_data()
  return function() assert(#cjson.decode(data).fileContent == ROWS) end
end

local path = os.tmpname()

function work.csv()
  local core, data = require "taskclient.core", page_data()
  return function()
    local writer = assert(core.writer(path, { overwrite = true }))
    assert(writer:page(data))
    assert(select("#", assert(writer:commit())) > 0)
  end
end

-- as correct as ours: quotes doubled, NULL and "" apart
function work.cjson_csv()
  local cjson, data = require "cjson", page_data()
  local function cell(value)
    if value == cjson.null then return "" end
    if value == "" or value:find '[,"\r\n]' then return '"' .. value:gsub('"', '""') .. '"' end
    return value
  end
  return function()
    local page, lines, line = cjson.decode(data), {}, {}
    for i, column in ipairs(page.metadata) do line[i] = cell(column.columnName) end
    lines[1] = table.concat(line, ",")
    for i, row in ipairs(page.fileContent) do
      for k = 1, #WORDS do line[k] = cell(row[k]) end
      lines[i + 1] = table.concat(line, ",")
    end
    lines[#lines + 1] = ""
    local file = assert(io.open(path, "wb"))
    assert(file:write(table.concat(lines, "\r\n")))
    file:close()
  end
end

if arg[1] == "child" then
  local once = work[arg[2]](arg[4])
  for _ = 1, tonumber(arg[3]) do once() end
  os.remove(path)
  return
end

-- ---- counting ----

local lua = arg[-1] or "lua"
local output = report.output
os.remove(path)

if output "command -v valgrind" == "" or output "command -v curl" == "" then
  print "count: not measured, for valgrind or curl is missing (make deps-test; valgrind)"
  return
end

local server = report.server()
local dir, url, bare = server.dir, server.url, server.bare

-- instructions of one process
local function count(command)
  local log = dir .. "/log"
  local text = output(("valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file=%s %s"
    .. " 2>&1; echo ended $?; cat %s"):format(log, command, log))
  assert(text:find "ended 0", command .. ": " .. text)
  return tonumber(text:match "Collected : (%d+)")
end

-- Instructions of one piece of work. What asks the server makes `more` requests beside one a piece.
local function cost(command, few, many, more)
  local low, high
  if more then
    low = server:counted(few + more, count, command(few))
    high = server:counted(many + more, count, command(many))
  else
    low, high = count(command(few)), count(command(many))
  end
  return (high - low) / (many - few)
end

local function ours(name)
  return function(n) return ("%s spec/bench/count.lua child %s %d %s"):format(lua, name, n, url) end
end

local function bare_easy(target)
  return function(n) return ("%s easy '%s%s' %d"):format(bare, url, target, n) end
end

-- name, what, ours, the peer, few and many runs, further requests of each of the two, aim
local ROWS_OF = {
  { "status", "job:status() of a real-sized record", ours "status", "libcurl easy in C",
    bare_easy(RECORD), 200, 1200, { 0, 1 }, "<= 1.35" },
  { "call", "client:start and a pick, small reply", ours "call", "libcurl easy in C",
    bare_easy(STATUS), 200, 1200, { 0, 1 }, "<= 1.10" },
  { "pick", "three values of a record, core.pick", ours "pick", "cjson and look-ups",
    ours "cjson_pick", 200, 1200, {}, "<= 0.17" },
  { "rows", "page of 5,000 x 6 to Lua rows", ours "rows", "cjson.decode", ours "cjson", 1, 21, {},
    "<= 0.62" },
  { "decode", "the same page, core.decode", ours "decode", "cjson.decode", ours "cjson", 1, 21, {},
    "<= 0.60" },
  { "csv", "the same page to a CSV file", ours "csv", "cjson and Lua", ours "cjson_csv", 1, 21, {},
    "<= 0.15" },
}

local function thousands(n)
  return n >= 1e6 and ("%.1f M"):format(n / 1e6) or ("%.1f k"):format(n / 1e3)
end

local wanted = {}
for _, name in ipairs(arg) do wanted[name] = true end

report.heading("instructions, " .. output(lua .. " -v 2>&1"):match "^%S+ %S+", "peer")
for _, row in ipairs(ROWS_OF) do
  if not next(wanted) or wanted[row[1]] then
    local name, what, mine, peer, theirs, few, many, asks, aim = (table.unpack or unpack)(row)
    local fine, a, b = pcall(function()
      return cost(mine, few, many, asks[1]), cost(theirs, few, many, asks[2])
    end)
    if fine then
      report.line(what .. " / " .. peer, thousands(a), thousands(b), a / b, aim)
    else
      report.unmeasured(name, a)
    end
  end
end
server:stop()
