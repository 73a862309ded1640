-- The same user's day on every version profile of the sandbox: submit, follow,
-- wait, rows, save, many states, abort, retry, keys. The client is never told the
-- version.

local process = require "spec.support.process"
local taskclient = require "taskclient"

-- what a version lacks (protocols 6), and what the client makes of it
local VERSIONS = {
  { "0.11", null_exact = false, old = true }, { "1.1", null_exact = false },
  { "1.4", null_exact = false }, { "1.6", null_exact = true }, { "1.8", null_exact = true,
    batch = true }, { "1.9", null_exact = true, batch = true },
  { "published", null_exact = false, no_list = true, kill = "POST" },
}

local function counts(lines)
  local t = {}
  for _, line in ipairs(lines) do t[line] = (t[line] or 0) + 1 end
  return t
end

describe("version", function()
  local box, dir

  lazy_setup(function()
    box = assert(require("taskclient.sandbox").start { users = { hadoop = "hadoop" } })
    dir = process.tempdir()
  end)
  lazy_teardown(function()
    box:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  for _, version in ipairs(VERSIONS) do
    describe(version[1], function()
      local client, events

      lazy_setup(function()
        box:set { version = version[1] }
        events = {}
        client = assert(taskclient.linkis {
          url = box.url, user = "hadoop", password = "hadoop",
          log = function(_, event) events[#events + 1] = event end,
        })
      end)
      lazy_teardown(function() client:close() end)

      local function shell(code, more)
        local spec = { code = code, run_type = "shell", engine = "shell-1", creator = "versions" }
        for name, value in pairs(more or {}) do spec[name] = value end
        return assert(client:submit(spec))
      end

      local function sql(code)
        local job = assert(client:submit { code = code, run_type = "sql", engine = "spark-3.2.1",
          creator = "versions" })
        assert.equals("succeeded", (job:wait { timeout = 60, poll = 0.1 }))
        return assert(job:results())
      end

      it("runs a job to its end", function()
        local job = shell "echo hello; sleep 0.3; echo 'two  words'"
        assert.equals("number", type(job.id))
        assert.equals("succeeded", (job:wait { timeout = 60, poll = 0.1 }))
        assert.equals("hello\ntwo  words", assert(assert(job:results())[1]:text()))
        assert.equals(1, assert(job:progress()).fraction)
        assert.equals("succeeded", (client:attach(job:handle()):status()))
      end)

      it("gives the log, followed and at the end, line for line", function()
        local job = shell("seq 1 1300 | while read i; do echo l$i; [ $((i % 130)) = 0 ] "
          .. "&& sleep 0.05; done; true")
        local followed = {}
        for line in job:logs { follow = true, poll = 0.1, timeout = 60 } do
          followed[#followed + 1] = line
        end
        local ended = {}
        for line in job:logs() do ended[#ended + 1] = line end
        assert.same(counts(ended), counts(followed))
        for i = 1, 1300 do assert.is_true(counts(ended)["l" .. i] ~= nil, "l" .. i) end
      end)

      it("gives every row, and says whether NULL can be told", function()
        local rs = sql("with recursive n(i) as (select 1 union all select i + 1 from n "
          .. "where i < 6001) select i, case i % 3 when 0 then null when 1 then '' "
          .. "else 'NULL' end as v from n")[1]
        local n, nulls, empty, text = 0, 0, 0, 0
        for row in rs:rows { page_size = 1500 } do
          n = n + 1
          assert(tonumber(row[1]) == n)
          if row[2] == taskclient.null then nulls = nulls + 1
          elseif row[2] == "" then empty = empty + 1
          elseif row[2] == "NULL" then text = text + 1 end
        end
        assert.equals(6001, n)
        assert.equals(version.null_exact, rs:null_exact())
        local expected = version.null_exact and { 2000, 2001, 2000 } or { 0, 2001, 4000 }
        assert.same(expected, { nulls, empty, text })
        assert.equals(6001, rs:count())
        assert.is_false(rs:capped())
        assert.equals(6001, (assert(rs:save(dir .. "/rows" .. version[1] .. ".csv"))))
      end)

      it("tells why a job failed", function()
        local job = shell "echo out; echo broken >&2; exit 3"
        local state, native, err = job:wait { timeout = 60, poll = 0.1 }
        assert.equals("failed", state)
        assert.equals("failed", native:lower())
        assert.equals("service", err.kind)
        assert.matches("broken", err.message)
        assert.is_nil(err.message:find "^21304")
        assert.is_true(#assert(job:error()).log > 0)
      end)

      it("stops one job and many", function()
        local one = shell "sleep 60"
        assert.is_true(assert(one:abort()).killed)
        assert.equals("cancelled", (one:status()))
        assert.is_true(assert(one:abort()).ended)
        local many = { shell "sleep 60", shell "sleep 60", shell "sleep 60" }
        for _, what in ipairs(assert(client:abort(many))) do
          assert.is_true(what.killed)
          assert.equals("cancelled", what.state)
        end
      end)

      it("tells the states of many, by the best way there is", function()
        local jobs = {}
        for i = 1, 35 do jobs[i] = shell "true" end
        assert(taskclient.wait_all(jobs, { timeout = 60, poll = 0.2 }))
        local fresh = {}
        for i, job in ipairs(jobs) do fresh[i] = client:attach(job:handle()) end
        fresh[#fresh + 1] = client:attach(987654321)
        local entries = assert(client:states(fresh))
        for i = 1, 35 do assert.equals("succeeded", entries[i].state) end
        assert.is_not_nil(entries[36].err)
        assert.equals(version.batch and "ids" or version.no_list and "each" or "list",
          require("taskclient.core").fields(client).batch)
      end)

      it("submits once under a key, or says that it cannot look it up", function()
        local key = "key of " .. version[1] .. require("taskclient.core").random(4)
        local spec = { code = "true", run_type = "shell", engine = "shell-1", key = key }
        local job, err = client:submit(spec)
        if version.no_list then
          assert.is_nil(job)
          assert.same({ "unsupported", "not_sent" }, { err.kind, err.outcome })
          assert.matches("adopt", err.hint)
          job = assert(client:submit(spec, { adopt = false }))
          assert.is_number(job.id)
          return
        end
        assert.equals(job.id, assert(client:submit(spec), err).id)
        assert.equals(job.id, assert(client:reconcile(key)).id)
        local records = 0
        for record in client:list { since = os.time() - 600 } do
          if record.taskID == job.id then records = records + 1 end
        end
        assert.equals(1, records)
        assert.is_true(assert(client:attach(job.id):retry()).id > job.id)
      end)

      it("finds a submit whose reply was lost, or says that nobody knows", function()
        box:set { submit_lost = 1 }
        local job, err = client:submit { code = "echo lost", run_type = "shell",
          engine = "shell-1" }
        if version.no_list then
          assert.is_nil(job)
          assert.same({ "submit_unknown", "unknown" }, { err.kind, err.outcome })
        else
          assert.equals("succeeded", (assert(job, err):wait { timeout = 30, poll = 0.1 }))
        end
      end)

      it("logs in anew, out of sight", function()
        local job = shell "sleep 1"
        box:expire_sessions()
        assert.equals("succeeded", (job:wait { timeout = 30, poll = 0.1 }))
        for _, event in ipairs(events) do
          assert.is_true(event.err == nil or event.err.kind ~= "auth")
        end
      end)
    end)
  end
end)
