-- Logs of real jobs, against any server: the file line for line once a job has
-- ended, and the same lines while it runs.

local taskclient = require "taskclient"
local core = require "taskclient.core"
local servers = require "spec.support.server"

local ENDED = { succeeded = true, failed = true, cancelled = true }

local function counts(lines)
  local t = {}
  for _, line in ipairs(lines) do t[line] = (t[line] or 0) + 1 end
  return t
end

local function difference(a, b)
  local d = counts(a)
  for line, n in pairs(counts(b)) do
    d[line] = (d[line] or 0) - n
    if d[line] == 0 then d[line] = nil end
  end
  return d
end

local function split(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines
end

describe("logs", function()
  local server, client

  setup(function()
    server = servers.linkis()
    client = assert(taskclient.linkis {
      url = server.url, user = server.user, token = server.token,
      password = not server.token and server.password or nil,
    })
  end)
  teardown(function() client:close() end)

  local function shell(code)
    return assert(client:submit { code = code, run_type = "shell", engine = "shell-1",
                                  creator = "logspec" })
  end

  local function await_end(job)
    local deadline = os.time() + 60
    repeat
      local state = assert(job:status())
      assert(os.time() < deadline, "the job does not end: " .. state)
    until ENDED[state]
  end

  -- The file itself, past the client's log cursor: openLog gives each empty line
  -- twice. A server built from the published page has no openLog, there it is what
  -- /log gives at the end.
  local function file_of(job)
    local info = assert(job:info())
    local data, err = client:call("openLog", { path = info.logPath })
    if data then return split((data.log[4]:gsub("\n(\n+)", function(run)
      return "\n" .. run:sub(1, #run / 2)
    end))) end
    assert.are.equal(404, err.http_status)
    data = assert(client:call("log", { id = info.strongerExecId, fromLine = 0, size = 100000 }))
    return split(data.log[4] .. "\n")
  end

  local function read_all(cursor)
    local lines, notes = {}, {}
    while true do -- no `for`: in a coroutine of Lua 5.1 its iterator cannot wait
      local line, note = cursor:read()
      if not line then return lines, notes, assert.is_nil(note) end
      lines[#lines + 1], notes[#notes + 1] = line, note
    end
  end

  it("of an ended job are its file, line for line", function()
    local job = shell "seq 1 1200; echo; echo last"
    await_end(job)
    local lines = read_all(job:logs())
    assert.are.same({}, difference(lines, file_of(job)))
    assert.are.same(file_of(job), lines)
    assert.are.equal(1, counts(lines)["1200"])
  end)

  it("have each empty line as often as the file", function()
    local job = shell "seq 1 600; echo; seq 1 9; echo; echo; seq 1 600"
    local followed = read_all(job:logs { follow = true, poll = 0.2 })
    await_end(job)
    assert.is_true(counts(file_of(job))[""] >= 1) -- a real server loses some of its own
    assert.are.same({}, difference(followed, file_of(job)))
    assert.are.same(file_of(job), (read_all(job:logs())))
  end)

  it("are followed while they come, whole at the end (trap 53)", function()
    local job = shell("seq 1 2600 | while read i; do echo l$i; [ $((i % 130)) = 0 ] "
      .. "&& sleep 0.1; done; true")
    local lines, notes = read_all(job:logs { follow = true, poll = 0.2 })
    assert.are.same({}, difference(lines, file_of(job)))
    local late = 0
    for _, note in ipairs(notes) do
      if note.late then late = late + 1 end
    end
    assert.is_true(late < #lines, "nothing came while the job ran")
  end)

  it("go on from a saved cursor with another client", function()
    local job = shell("seq 1 900 | while read i; do echo l$i; [ $((i % 90)) = 0 ] "
      .. "&& sleep 0.1; done; true")
    local cursor = job:logs { follow = true, poll = 0.2 }
    local lines = {}
    for i = 1, 25 do lines[i] = assert(cursor:read()) end
    local saved = core.decode(assert(core.encode(cursor:save())))
    cursor:close()
    local other = client:attach(job.id)
    for _, line in ipairs((read_all(other:logs { follow = true, from = saved }))) do
      lines[#lines + 1] = line
    end
    assert.are.same({}, difference(lines, file_of(job)))
  end)

  it("come in the file's order with exact", function()
    local job = shell "seq 1 700; sleep 0.5; seq 701 800"
    local lines = read_all(job:logs { follow = true, exact = true, poll = 0.2 })
    assert.are.same(file_of(job), lines)
  end)

  it("of a killed job end too", function()
    local job = shell "seq 1 20; sleep 60"
    local cursor = job:logs { follow = true, poll = 0.2 }
    assert(cursor:read())
    assert(job:abort())
    local lines = { "first" }
    while true do
      local line, err = cursor:read()
      if not line then
        assert.is_nil(err)
        break
      end
      lines[#lines + 1] = line
    end
    assert.are.equal(#file_of(job), #lines)
  end)

  it("by level: errors alone, with the lines below them (trap 17)", function()
    local job = shell "nosuchcommand_at_all"
    await_end(job)
    local all, notes = read_all(job:logs())
    local expected = {}
    for i, line in ipairs(all) do
      if notes[i].level == "error" then expected[#expected + 1] = line end
    end
    assert.is_true(#expected > 0)
    assert.are.same(expected, (read_all(job:logs { level = "error" })))
    assert.are.same({}, difference(expected,
      (read_all(job:logs { follow = true, level = "error" }))))
  end)

  it("of a task that does not exist are an error", function()
    local line, err = client:attach(987654321):logs():read()
    assert.is_nil(line)
    assert.are.equal("service", err.kind)
    assert.are.equal(987654321, err.job_id)
  end)
end)
