-- A job is a job: what holds for both servers, against any server that is
-- named by the environment, else the sandbox.

local process = require "spec.support.process"
local servers = require "spec.support.server"
local taskclient = require "taskclient"

local STATES = { queued = 1, running = 1, succeeded = 1, failed = 1, cancelled = 1, unknown = 1 }

local function linkis()
  local server = servers.linkis()
  local client = assert(taskclient.linkis {
    url = server.url, user = server.user, password = server.password,
    token = not server.password and server.token or nil,
  })
  local function start(code)
    return assert(client:submit { code = code, run_type = "shell", engine = "shell-1" })
  end
  return {
    client = client, missing = 2 ^ 40, wrong_ids = { "1/2", "a%2e" },
    quick = function() return start "echo done" end,
    long = function() return start "sleep 60" end,
    broken = function() return start "echo oops >&2; exit 3" end,
  }
end

local folders

local function csv_folders()
  folders = process.tempdir()
  local function fill(name, text)
    os.execute("mkdir " .. folders .. "/" .. name)
    local file = assert(io.open(folders .. "/" .. name .. "/1.csv", "w"))
    file:write(text)
    file:close()
  end
  local rows = {}
  for i = 1, 2000 do rows[i] = ("%d,name %d\n"):format(i, i) end
  fill("quick", "1,one\n2,two\n")
  fill("long", table.concat(rows))
  fill("broken", "1,one\nthree,3\n")
  return folders
end

-- The sandbox alone: what a foreign LTS has as sources cannot be known.
local function lindorm()
  local box = assert(require("taskclient.sandbox").start {
    lindorm = { sources = { landing = csv_folders() }, create_tables = true },
    settings = { rows_per_second = 50 },
  })
  local client = assert(taskclient.lindorm { url = box.lindorm_url })
  local function start(folder)
    return function()
      return assert(client:submit {
        src = "landing", dst = "warehouse", file_type = "CSV", instances = 2,
        reader = { filePath = folder .. "/", column = { "id|bigint", "name|string" } },
        writer = { namespace = "default", lindormTable = folder, columns = { "id", "name" } },
      })
    end
  end
  return {
    client = client, missing = "proc-9-00000000000000000000000000000000",
    wrong_ids = { ".", ("x"):rep(513) },
    quick = start "quick", long = start "long", broken = start "broken",
    stop = function()
      box:stop()
      os.execute("rm -rf " .. process.quote(folders))
    end,
  }
end

local UNSUPPORTED = {
  linkis = { "stages", "pause", "delete" }, lindorm = { "logs", "results", "export", "pause" },
}

for name, make in pairs { linkis = linkis, lindorm = lindorm } do
  describe("a " .. name .. " job", function()
    local server

    setup(function() server = make() end)
    teardown(function()
      server.client:close()
      if server.stop then server.stop() end
    end)

    it("goes to its end", function()
      local job = server.quick()
      local state = assert(STATES[assert(job:status())])
      assert.equals(1, state)
      assert.equals("succeeded", (assert(job:wait { timeout = 60, poll = 0.1 })))
      assert.equals("succeeded", (job:status()))
    end)

    it("is known again from its id and from its handle", function()
      local job = server.quick()
      job:wait { timeout = 60, poll = 0.1 }
      local text = assert(require("taskclient.core").encode(job:handle()))
      local handle = require("taskclient.core").decode(text)
      for _, what in ipairs { job.id, handle } do
        local again = server.client:attach(what)
        assert.equals(job.id, again.id)
        assert.equals("succeeded", (again:status()))
      end
    end)

    it("prints its state", function()
      local job = server.quick()
      assert.equals(("%s job %s"):format(name, job.id), tostring(server.client:attach(job.id)))
      job:wait { timeout = 60, poll = 0.1 }
      assert.equals(("%s job %s (succeeded)"):format(name, job.id), tostring(job))
    end)

    it("is stopped by abort, which says so, and says when there was nothing to stop", function()
      local job = server.long()
      local what = assert(job:abort())
      assert.is_true(what.killed)
      assert.equals("cancelled", what.state)
      assert.equals("cancelled", (job:status()))
      local late = assert(job:abort())
      assert.is_true(late.ended)
      assert.equals("cancelled", late.state)
    end)

    it("tells why it failed", function()
      local job = server.broken()
      local state, _, err = job:wait { timeout = 60, poll = 0.1 }
      assert.equals("failed", state)
      assert.equals("service", err.kind)
      assert.equals(job.id, err.job_id)
      assert.is_true(#err.message > 0)
      assert.equals(err.message, job:error().message)
    end)

    it("has no error when it succeeded", function()
      local job = server.quick()
      job:wait { timeout = 60, poll = 0.1 }
      assert.is_nil((job:error()))
    end)

    it("answers for many at once, aligned", function()
      local jobs = { server.quick(), server.quick(), server.client:attach(server.missing) }
      taskclient.wait_all({ jobs[1], jobs[2] }, { timeout = 60, poll = 0.1 })
      local entries = assert(server.client:states(jobs))
      assert.equals("succeeded", entries[1].state)
      assert.equals("succeeded", entries[2].state)
      assert.equals("service", entries[3].err.kind)
    end)

    it("that nobody knows is an error of kind service", function()
      local state, err = server.client:attach(server.missing):status()
      assert.is_nil(state)
      assert.equals("service", err.kind)
      assert.equals(server.missing, err.job_id)
    end)

    it("is not made from a wrong id or a foreign handle", function()
      local other = name == "linkis" and "lindorm" or "linkis"
      for _, what in ipairs { server.wrong_ids[1], server.wrong_ids[2], "", "..", "a\r\nb", 0, -1,
        1.5, 0 / 0, true, {}, { id = server.missing, service = other },
        { id = server.missing, nonsense = 1 } } do
        assert.has_error(function() server.client:attach(what) end)
      end
    end)

    it("says of what its server does not offer that it is unsupported", function()
      local job = server.client:attach(server.missing)
      for _, method in ipairs(UNSUPPORTED[name]) do
        local value, err = job[method](job)
        assert.is_nil(value)
        assert.equals("unsupported", err.kind)
        assert.equals(server.missing, err.job_id)
      end
    end)

    it("is waited for until the deadline and goes on", function()
      local job = server.long()
      local state, err = job:wait { timeout = 0.3, poll = 0.1 }
      assert.is_nil(state)
      assert.equals("timeout", err.kind)
      assert.equals(job.id, err.handles[1].id)
      assert.is_nil(require("taskclient.state").ENDED[job:status()])
      job:abort()
    end)

    it("cannot be asked for after its client was closed", function()
      local job = server.quick()
      job:wait { timeout = 60, poll = 0.1 }
      local lone = make()
      local mine = lone.client:attach(job.id)
      lone.client:close()
      local state, err = mine:status()
      if lone.stop then lone.stop() end
      assert.is_nil(state)
      assert.equals("closed", err.kind)
    end)
  end)
end
