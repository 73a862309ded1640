-- The engine really does the work: shell, python, SQL; kills it; keeps the queue; tells it as
-- Linkis does.

local cjson = require "cjson"
local http = require "spec.sandbox.http"
local process = require "spec.support.process"
local sandbox = require "taskclient.sandbox"
local wait = require "spec.support.wait"

local LAST = { Succeed = true, Failed = true, Cancelled = true }

describe("engine", function()
  local box

  setup(function() box = assert(sandbox.start()) end)
  teardown(function() box:stop() end)

  local function ended(id, timeout)
    return wait.eventually(function()
      local task = http.task(box, id)
      return LAST[task.status] and task
    end, timeout or 20, "the end of task " .. id)
  end

  local function run(...) return ended(http.submit(box, ...).taskID) end

  local function files(task)
    local tree = http.get(box, "filesystem/getDirFileTrees?path="
      .. task.resultLocation).data.dirFileTrees
    local names = {}
    for i, child in ipairs(tree ~= cjson.null and tree.children or {}) do names[i] = child.name end
    table.sort(names)
    return names
  end

  local function open(task, name, query)
    return http.get(box, "filesystem/openFile?nullValue=LINKIS_NULL&path=" .. task.resultLocation
      .. "/" .. name
      .. (query or "")).data
  end

  local function log(task)
    return http.get(box, "filesystem/openLog?path=" .. task.logPath).data.log[4]
  end

  local function memory(job)
    return http.get(box,
      ("entrance/%s/status?taskID=%d"):format(job.execID, job.taskID)).data.status
  end

  it("runs shell: text result, log, exit code of the last command", function()
    local task = run("echo one; ls /no/such; echo; echo 'two \"x\"'", "shell", "shell-1")
    assert.are.equal("Succeed", task.status)
    assert.are.equal(0, task.errCode)
    assert.are.equal("", task.errDesc)
    assert.are.equal("1.0", task.progress)
    assert.are.equal(0, task.costTime % 1000)
    assert.are.same({ "1_0.dolphin" }, files(task))
    local set = open(task, "1_0.dolphin")
    assert.are.equal("1", set.type)
    assert.are.same({ { "one" }, { "" }, { 'two "x"' } }, set.fileContent)
    assert.matches("\none\n", log(task))
    assert.matches("Your job completed with status Success", log(task))
  end)

  it("fails shell with what it wrote to standard error, and loses its output", function()
    local task = run("echo before; echo oops >&2; exit 3", "shell", "shell-1")
    assert.are.equal("Failed", task.status)
    assert.are.equal(cjson.null, task.errCode)
    assert.are.equal("21304, Task is Failed,errorMsg: run shell failed with error:\n oops",
      task.errDesc)
    assert.are.same({ "1_0.dolphin" }, files(task))
    assert.are.same({}, open(task, "1_0.dolphin").fileContent)
    assert.matches("\nbefore\n", log(task))
    task = run("nosuchcommand --x", "shell", "shell-1")
    assert.are.equal("21304, Task is Failed,errorMsg: run shell failed with error:\n"
      .. " sh: 1: nosuchcommand: not found", task.errDesc)
    assert.are.same({}, files(task))
  end)

  it("shows log lines while the job runs", function()
    local job = http.submit(box, "echo early; sleep 1000", "shell", "shell-1")
    wait.eventually(function()
      local lines = http.get(box,
        ("entrance/%s/log?fromLine=1&size=100"):format(job.execID)).data.log
      return type(lines) == "table" and lines[4]:find("\nearly", 1, true)
    end, 10, "the early line")
    assert.are.equal("Running", http.task(box, job.taskID).status)
    http.get(box, ("entrance/%s/kill?taskID=%d"):format(job.execID, job.taskID))
  end)

  it("runs python, and keeps what was printed before an exception", function()
    local task = run("import sys\nprint('one')\nprint('\228\184\173\230\150\135')\n1 + 1\n",
      "python", "python-python3")
    assert.are.equal("Succeed", task.status)
    assert.are.same({ { "one" }, { "\228\184\173\230\150\135" } },
      open(task, "_0.dolphin").fileContent)
    task = run("print('kept')\n1/0\n", "python", "python-python3")
    assert.are.equal("Failed", task.status)
    assert.are.equal(cjson.null, task.errCode)
    assert.matches("^21304, Task is Failed,errorMsg: PythonExecuteError: errCode: 60002 ,desc: "
      .. "Traceback", task.errDesc)
    assert.matches("ZeroDivisionError: division by zero", task.errDesc, 1, true)
    assert.are.same({ { "kept" } }, open(task, "_0.dolphin").fileContent)
  end)

  it("runs SQL on SQLite: types as declared, NULL apart from empty, plain doubles", function()
    local task = run([[
      create table kinds(a integer, b double, c varchar(10), d decimal(20,2), e boolean, f date);
      insert into kinds values (9007199254740993, 1e100, 'x''y', '1.50', 1, '2024-02-29');
      insert into kinds values (null, 0.1, '', null, 0, null);
      select a, b, c, d, e, f, a + 1 as g, -2.5e-7 as h from kinds; -- a comment; with a semicolon
    ]], "sql", "spark-3.2.1")
    assert.are.equal("Succeed", task.status)
    assert.are.same({ "_0.dolphin" }, files(task))
    local set = open(task, "_0.dolphin")
    local kinds = {}
    for i, column in ipairs(set.metadata) do
      kinds[i] = column.columnName .. " " .. column.dataType
    end
    assert.are.same({ "a bigint", "b double", "c string", "d decimal", "e boolean", "f date",
      "g bigint", "h double" },
      kinds)
    assert.are.same({ "9007199254740993", "1" .. ("0"):rep(100), "x'y", "1.5", "true", "2024-02-29",
      "9007199254740994", "-0.00000025" }, set.fileContent[1])
    local null = cjson.null
    assert.are.same({ null, "0.1", "", null, "false", null, null, "-0.00000025" },
      set.fileContent[2])
  end)

  it("keeps the first statement's file when the second fails", function()
    local task = run("select 1 as a; select * from nosuch_table; select 2", "sql", "spark-3.2.1")
    assert.are.equal("Failed", task.status)
    assert.are.equal(cjson.null, task.errCode)
    assert.are.equal("21304, Task is Failed,errorMsg: no such table: nosuch_table", task.errDesc)
    assert.are.same({ "_0.dolphin" }, files(task))
    assert.are.same({ { "1" } }, open(task, "_0.dolphin").fileContent)
  end)

  it("makes one result file of each statement, also an empty one; triggers stay whole", function()
    local task = run([[
      create table noted(x); create table seen(n);
      create trigger note after insert on noted begin
        insert into seen select case when new.x > 1 then 1 else 0 end; insert into seen values (7);
      end;
      insert into noted values (5);
      select n from seen order by n; select 1 as none where 0;
      select ';' as semicolon, "n" from seen where n = 7]], "sql", "spark-3.2.1")
    assert.are.equal("Succeed", task.status)
    assert.are.same({ "_0.dolphin", "_1.dolphin", "_2.dolphin" }, files(task))
    assert.are.same({ { "1" }, { "7" } }, open(task, "_0.dolphin").fileContent)
    assert.are.same({}, open(task, "_1.dolphin").fileContent)
    assert.are.same({ { ";", "7" } }, open(task, "_2.dolphin").fileContent)
  end)

  it("lets a shell job put data where SQL finds it", function()
    local task = run([[printf 'name,size\nbash,7\ncoreutils,17\n' > in.csv
      sqlite3 "$TASKCLIENT_SANDBOX_DB" '.mode csv' '.import in.csv packages']], "shell", "shell-1")
    assert.are.equal("Succeed", task.status, task.errDesc)
    task = run("select name from packages where size + 0 > 10", "sql", "hive-2.3.3")
    assert.are.same({ { "coreutils" } }, open(task, "_0.dolphin").fileContent)
    assert.are.same({ { "bash", "7" }, { "coreutils", "17" } },
      box:query "select * from packages order by name")
  end)

  it("cuts jdbc results at its limit and no others", function()
    local many = [[with recursive r(i) as (select 1 union all select i + 1 from r where i < 6000)
      select i from r]]
    local function count(task)
      return http.get(box, "filesystem/fileInfo?pageSize=-1&path=" .. task.resultLocation
        .. "/_0.dolphin").data.rowNumber
    end
    assert.are.equal(5000, count(run(many, "jdbc", "jdbc-4")))
    assert.are.equal(6000, count(run(many, "sql", "spark-3.2.1")))
  end)

  it("fails an engine that nobody has within a moment", function()
    for _, label in ipairs { "nosuch-1", "shell" } do
      local task = run("echo x", "shell", label)
      assert.are.equal("Failed", task.status)
      assert.are.equal(31002, task.errCode)
      assert.is_true(task.canRetry)
    end
  end)

  it("kills the whole process group, and says so in both states", function()
    local mark = "1234.5" .. os.time() % 100000
    local job = http.submit(box, ("sleep %s & sleep %s"):format(mark, mark), "shell", "shell-1")
    local function sleepers()
      local text = process.run({ "sh", "-c", "ps -A -o args= | grep -c '[s]leep " .. mark .. "'" })
      return text
    end
    wait.eventually(function() return sleepers() == 0 end, 10, "the sleepers' start")
    local reply = http.get(box, ("entrance/%s/kill?taskID=%d"):format(job.execID, job.taskID))
    assert.are.equal(0, reply.status)
    local task = ended(job.taskID, 5)
    assert.are.equal("Cancelled", task.status)
    assert.are.equal(31001, task.errCode)
    assert.are.equal("Cancelled", memory(job))
    wait.eventually(function() return sleepers() == 1 end, 5, "the sleepers' end")
  end)

  it("kills what ignores SIGTERM", function()
    local job = http.submit(box, "trap '' TERM; while :; do sleep 0.1; done", "shell", "shell-1")
    wait.eventually(function() return http.task(box, job.taskID).status == "Running" end)
    http.get(box, ("entrance/%s/kill?taskID=%d"):format(job.execID, job.taskID))
    assert.are.equal("Cancelled", ended(job.taskID, 5).status)
  end)

  it("ends a job that leaves a process with its output behind", function()
    local task = run("sleep 1000 & echo done", "shell", "shell-1")
    assert.are.equal("Succeed", task.status)
    assert.are.same({ { "done" } }, open(task, "1_0.dolphin").fileContent)
  end)

  it("runs ten of a queue at a time; the others stay Inited and can be killed there", function()
    local jobs = {}
    for i = 1, 12 do jobs[i] = http.submit(box, "sleep 1000", "shell", "shell-1", "queue") end
    local function states()
      local count = {}
      for _, job in ipairs(jobs) do
        local status = http.task(box, job.taskID).status
        count[status] = (count[status] or 0) + 1
      end
      return count
    end
    wait.eventually(function() return states().Running == 10 end, 10, "ten running jobs")
    assert.are.equal(2, states().Inited)
    assert.are.equal("Succeed", run("echo other queue", "shell", "shell-1", "other").status)
    for i = 12, 1, -1 do
      http.get(box, ("entrance/%s/kill?taskID=%d"):format(jobs[i].execID, jobs[i].taskID))
    end
    wait.eventually(function() return states().Cancelled == 12 end, 10, "the end of twelve jobs")
  end)

  it("lets memory trail history", function()
    local job = http.submit(box, "sleep 0.3", "shell", "shell-1")
    ended(job.taskID)
    wait.eventually(function() return memory(job) == "Succeed" end, 5, "memory's end")
  end)

  it("marks jobs as the restart of an entrance does", function()
    local job = http.submit(box, "sleep 1000", "shell", "shell-1")
    wait.eventually(function() return http.task(box, job.taskID).status == "Running" end)
    box:restart_entrance()
    local task = http.task(box, job.taskID)
    assert.are.equal("Cancelled", task.status)
    assert.are.equal(cjson.null, task.errCode)
    assert.matches("^Your job will be marked as canceled because the Entrance service restarted",
      task.errDesc)
  end)

  it("ends a job that runs longer than its label allows", function()
    local task = run("sleep 1000", "shell", "shell-1", "spec", { jobRunningTimeout = "1" })
    assert.are.equal("Cancelled", task.status)
    assert.matches("1 second", task.errDesc)
  end)

  it("ends a job that waits longer than its label allows", function()
    box:set { max_running = 0 }
    local task = run("echo never", "shell", "shell-1", "spec", { jobQueuingTimeout = "1" })
    box:set { max_running = 10 }
    assert.are.equal("Cancelled", task.status)
    assert.matches("waited longer than 1 second", task.errDesc)
  end)

  it("ends jobs of heart-beat creators when nobody asks for their state", function()
    box:set { heartbeat_timeout = 0.5 }
    local task = run("sleep 1000", "shell", "shell-1", "LINKISCLI")
    box:set { heartbeat_timeout = 30 }
    assert.are.equal("Cancelled", task.status)
    assert.are.equal(cjson.null, task.errCode)
    assert.are.equal("Job is killed because of client-server connection lost", task.errDesc)
  end)

  it("lets the first job of a queue wait for its engine, Running all the while", function()
    box:set { engine_start = 0.5 }
    local began = wait.now()
    local job = http.submit(box, "echo cold", "shell", "shell-1", "cold")
    wait.eventually(function() return http.task(box, job.taskID).status == "Running" end)
    assert.are.equal("Succeed", ended(job.taskID).status)
    assert.is_true(wait.now() - began >= 0.5)
    box:set { engine_start = 0 }
  end)

  it("takes 10,000 log lines and a result of 200,000 rows", function()
    local task = run("seq 1 10000", "shell", "shell-1")
    local _, lines = log(task):gsub("\n%d+\n?", "")
    assert.are.equal("Succeed", task.status)
    assert.is_true(lines >= 5000)
    task = run([[with recursive r(i) as (select 1 union all select i + 1 from r where i < 200000)
      select i, 'name ' || i as n, i * 0.5 as d from r]], "sql", "spark-3.2.1")
    local set = open(task, "_0.dolphin", "&page=40&pageSize=5000")
    assert.are.same({ "200000", "name 200000", "100000" }, set.fileContent[5000])
    assert.are.equal(5000, set.totalLine)
  end)

  it("costs next to nothing while it waits", function()
    local function ticks()
      local text = io.open("/proc/" .. box.engine_pid .. "/stat"):read "*a"
      local user, system = text:match("%) %S+" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
      return user + system
    end
    local before, from = ticks(), wait.now()
    wait.eventually(function() return wait.now() - from > 2 end, 5)
    assert.is_true(ticks() - before <= 4, "hundredths of a second used in two: "
      .. ticks() - before)
  end)
end)
