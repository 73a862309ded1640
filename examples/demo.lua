-- The main job, end to end, on real input: this machine's own list of packages goes through a
-- shell job, an SQL job and a bulk load of the embedded sandbox. Ends with 0 only if all of it
-- really happened.

local core = require "taskclient.core"
local pretty = require "taskclient.text.table"
local taskclient = require "taskclient"

local folder = os.tmpname()
os.remove(folder)
local csv = folder .. "/packages/packages.csv"

local colored = core.terminal(1) and (os.getenv "NO_COLOR" or "") == ""
local function title(text) print("\n" .. (colored and "\27[1m%s\27[0m" or "%s"):format(text)) end
local function say(text, ...) print("  " .. text:format(...)) end
local function show_table(rows, columns)
  print("  " .. pretty.table(rows, columns):gsub("\n", "\n  "))
end

-- dpkg-query writes the list, Lua puts it into the database that the sandbox's SQL jobs use; it
-- takes its time, so that there is something to watch.
-- (No `for` and no `find`: a Linkis shell job with such a word is refused.)
local COLLECT = [=[
echo "asking dpkg-query"
dpkg-query -W -f='${Package}\t${Section}\t${Installed-Size}\t${Version}\n' > packages.tsv
lua5.4 -e '
  local db = require("luasql.sqlite3").sqlite3():connect(os.getenv "TASKCLIENT_SANDBOX_DB")
  db:execute "create table package (name text, section text, kb integer, version text)"
  db:setautocommit(false)
  io.stdout:setvbuf "line"
  local n, next_line = 0, io.lines "packages.tsv"
  local line = next_line()
  while line do
    local name, section, kb, version = line:match "^(.-)\t(.-)\t(.-)\t(.*)$"
    assert(db:execute(("insert into package values (\"%s\", \"%s\", %d, \"%s\")")
      :format(name, section, tonumber(kb) or 0, version)))
    n = n + 1
    if n % 100 == 0 then
      print(n .. " packages")
      os.execute "sleep 0.2"
    end
    line = next_line()
  end
  db:commit()
  print(n .. " packages in all")'
]=]

local REPORT = [[
select section, count(*) as packages, sum(kb) / 1024 as mb, max(kb) / 1024 as largest_mb
  from package group by section order by sum(kb) desc limit 10;
select name, section, kb, version from package order by name]]

-- thirty of these take a while
local LONG = ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000) "
  .. "select count(*) from n;\n"):rep(30)

local jobs = {}

-- What every job of the demo goes through: its submit, a bar, the end that is expected.
local function go(what, client, spec, opts)
  opts = opts or {}
  local started = core.now()
  local job = assert(client:submit(spec))
  if opts.beside then taskclient.spawn(opts.beside, job) end
  local bar = taskclient.progress.bar { stream = io.stdout, label = "  " .. tostring(job) }
  local state, native, err = job:wait {
    timeout = 120, poll = 0.2, on_progress = bar,
    on_log = opts.on_log and function(_, line) opts.on_log(bar, line) end,
  }
  bar:finish()
  local expected = opts.expected or "succeeded"
  assert(state == expected, ("%s: %s %s"):format(what, tostring(state), tostring(err or native)))
  jobs[#jobs + 1] = { job = job, what = what, seconds = core.now() - started }
  return job, err
end

-- How often each line stands in a list.
local function counted(lines)
  local counts = {}
  for _, line in ipairs(lines) do counts[line] = (counts[line] or 0) + 1 end
  return counts
end

local function collect(linkis)
  title "A shell job collects this machine's packages; its log as it comes"
  local came, file = {}, {}
  local job = go("collect the packages", linkis,
    { code = COLLECT, run_type = "shell", engine = "shell-1" },
    { on_log = function(bar, line)
      came[#came + 1] = line
      if line:find "^%d+ packages" then bar:print("  │ " .. line) end
    end })
  for line in job:logs() do file[#file + 1] = line end
  local counts = counted(came)
  for line, n in pairs(counted(file)) do assert(counts[line] == n, "lost or doubled: " .. line) end
  assert(#came == #file, "the log has other lines than its file")
  say("its log: %d lines came, the same %d lines stand in the server's file", #came, #file)
end

local function lines_of(path)
  local n = 0
  for _ in io.lines(path) do n = n + 1 end
  return n
end

local function report(linkis)
  title "An SQL job: installed size by section, the ten largest"
  local job = go("report and list", linkis,
    { code = REPORT, run_type = "sql", engine = "spark-3.2.1" })
  local top, all = table.unpack(assert(job:results()))
  local rows = {}
  for row in top:rows() do rows[#rows + 1] = row end
  show_table(rows, assert(top:columns()))
  assert(os.execute("mkdir -p " .. folder .. "/packages"))
  local count, bytes = assert(all:save(csv))
  assert(lines_of(csv) == count + 1, "the file has not a line for each row")
  print()
  say("saved the whole list: %d rows, %d bytes of CSV", count, bytes)
  return count
end

local function load(linkis, lindorm, saved)
  title "A bulk load carries that CSV into a Lindorm table"
  local columns = { "name", "section", "kb", "version" }
  local types = { "string", "string", "bigint", "string" }
  local pairs_of = {}
  for i, name in ipairs(columns) do pairs_of[i] = { name, types[i] } end
  go("load the list", lindorm, {
    src = "landing", dst = "warehouse", instances = 2,
    reader = taskclient.lindorm.csv { path = "packages/", header = true, columns = pairs_of },
    writer = taskclient.lindorm.table { table = "package", columns = columns },
  })
  local job = go("count what has arrived", linkis, {
    code = 'select count(*) from "default.package"', run_type = "sql", engine = "spark-3.2.1",
  })
  local arrived = tonumber(assert(job:results())[1]:rows()()[1])
  assert(arrived == saved, ("%d rows saved, %d arrived"):format(saved, arrived))
  say("%d rows saved, %d rows arrived", saved, arrived)
end

local function stop_one(linkis)
  title "A long job is stopped half-way, by a second task of this script"
  local what
  local function stop(job)
    repeat taskclient.sleep(0.2) until (assert(job:progress()).fraction or 0) >= 0.2
    what = assert(job:abort())
  end
  taskclient.run(go, "count for a long time", linkis,
    { code = LONG, run_type = "sql", engine = "spark-3.2.1" },
    { expected = "cancelled", beside = stop })
  assert(what.killed and what.confirmed, "the job was not stopped")
  say("it was killed, and the server's history says %s", what.native)
end

local function fail_one(linkis)
  title "A job that fails says why"
  local _, err = go("ask for a table that is not there", linkis,
    { code = "select * from nowhere", run_type = "sql", engine = "spark-3.2.1" },
    { expected = "failed" })
  assert(err.kind == "service" and err.message:find "nowhere", "another error was expected")
  say("%s", err)
end

local function summary()
  title "What was done"
  local rows = {}
  for i, entry in ipairs(jobs) do
    local id = tostring(entry.job.id)
    if #id > 12 then id = id:sub(1, 12) .. "…" end
    rows[i] = { entry.job.client.service, id, entry.what, ("%.1f"):format(entry.seconds),
      assert(entry.job:status()) }
  end
  show_table(rows, { "server", "job", "what", "seconds", "end" })
end

local function main(sandbox)
  local linkis <close> = assert(taskclient.linkis {
    url = sandbox.url, user = sandbox.user, password = sandbox.password, creator = "demo",
  })
  local lindorm <close> = assert(taskclient.lindorm { url = sandbox.lindorm_url })
  title "Two job servers, embedded: they really do the work"
  say("%s", linkis)
  say("%s", lindorm)
  collect(linkis)
  load(linkis, lindorm, report(linkis))
  stop_one(linkis)
  fail_one(linkis)
  summary()
end

local sandbox = assert(require("taskclient.sandbox").start {
  lindorm = { sources = { landing = folder }, create_tables = true },
  settings = { rows_per_second = 600 },
})
local ok, err = xpcall(main, debug.traceback, sandbox)
sandbox:stop()
os.execute("rm -rf '" .. folder .. "'")
if not ok then io.stderr:write(tostring(err), "\n") end
os.exit(ok and 0 or 1, true)
