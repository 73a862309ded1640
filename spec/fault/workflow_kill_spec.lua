-- A script killed at its system calls and started again: each task is made
-- exactly once and the report is the same. A sample here; every system call
-- with TASKCLIENT_TORTURE=1.

local process = require "spec.support.process"
local wait = require "spec.support.wait"

local SCRIPT, STUB = "spec/support/workflow_script.lua", "spec/support/task_stub.lua"
local torture = os.getenv "TASKCLIENT_TORTURE"
local SAMPLE = 12

local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

describe("a script that is killed", function()
  local dir, stub, url, number = nil, nil, nil, 0

  setup(function()
    dir = process.tempdir()
    assert(os.execute("mkfifo " .. dir .. "/stdin"))
    -- the fifo's writer lives as long as the stub may
    local command = ("exec 9<>%s/stdin; exec lua5.4 %s %s/port %s/tasks <%s/stdin")
    stub = process.start({ "sh", "-c", command:format(dir, STUB, dir, dir, dir) })
    local port = wait.eventually(function()
      local file = io.open(dir .. "/port")
      return file and file:read "*a"
    end, 10, "the stub's port")
    url = "http://127.0.0.1:" .. port
  end)

  teardown(function()
    if stub then stub:stop() end
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local environment = {
    LUA_PATH = package.path, LUA_CPATH = package.cpath, SPECS = torture and "50" or "12",
    NO_COLOR = "1",
  }

  local function argv(what, journal, before)
    local list = before or {}
    for _, word in ipairs { "lua5.4", SCRIPT, what, url, journal, dir .. "/tasks" } do
      list[#list + 1] = word
    end
    return list
  end

  local function script(what, journal, before)
    return process.run(argv(what, journal, before), { env = environment, timeout = 90 })
  end

  local function reset()
    number = number + 1
    assert(os.execute("curl -s " .. url .. "/reset >/dev/null"))
    return dir .. "/" .. number .. ".run"
  end

  local function made()
    local seen, list = {}, {}
    for service, mark in slurp(dir .. "/tasks"):gmatch "(%S+) %S+ (%S+)\n" do
      local name = service .. " " .. mark
      assert(not seen[name], name .. " was made twice")
      seen[name], list[#list + 1] = true, name
    end
    table.sort(list)
    return table.concat(list, "\n")
  end

  -- Each system call from the opening of the journal on, as {name, count}.
  local function points(trace, journal)
    local counts, list, on = {}, {}, false
    for line in io.lines(trace) do
      local name = line:match "^%d*%s*([%w_]+)%("
      if name and name ~= "exit_group" then
        counts[name] = (counts[name] or 0) + 1
        on = on or line:find(journal, 1, true) ~= nil and name == "openat"
        if on then list[#list + 1] = { name, counts[name] } end
      end
    end
    return list
  end

  local function chosen(list)
    if torture then return list end
    local some = {}
    for i = 1, SAMPLE do some[i] = list[math.floor((i - 0.5) * #list / SAMPLE) + 1] end
    -- the moments around a submit are the ones that matter
    for _, point in ipairs(list) do
      if (point[1] == "sendto" or point[1] == "fdatasync")
        and point[2] % 4 == 3 then some[#some + 1] = point end
    end
    return some
  end

  -- What a power failure would take: the records that are written, and not synced yet.
  for _, what in ipairs { "many", "run" } do
    it("has its intents on the disk when a submit goes out: " .. what, function()
      local journal = reset()
      assert.are.equal(0, (script(what, journal, { "strace", "-f", "-qq", "-s", "3000", "-e",
        "trace=write,fdatasync,fsync,sendto", "-o", dir .. "/trace" })))
      local open, fd, submits = {}, nil, 0
      for line in io.lines(dir .. "/trace") do
        local to, record = line:match '^%d*%s*write%((%d+), "{\\"at\\":.-\\"what\\":\\"(%a+)'
        local synced = line:match "sync%((%d+)%)"
        local sent = line:match 'sendto%(%d+, "POST (%S+)'
        if record then
          fd, open[record] = to, true
        elseif synced and synced == fd then
          open = {}
        elseif sent and (sent:find "submit" or sent:find "create") then
          submits = submits + 1
          assert.is_nil(open.intent, sent)
          -- no key would find a load again
          if sent:find "create" then assert.is_nil(next(open), sent) end
        end
      end
      assert.is_true(submits >= 6)
    end)

    it("makes each task once and gives the same report: " .. what, function()
      local journal = reset()
      local code, report, err = script(what, journal)
      assert(code == 0, err)
      local whole = made()
      journal = reset()
      assert.are.equal(0, (script(what, journal, { "strace", "-f", "-qq", "-o", dir
        .. "/trace" })))
      local list = points(dir .. "/trace", journal)
      assert.is_true(#list > 100)
      local deaths, tried = 0, 0
      for _, point in ipairs(chosen(list)) do
        local at = point[1] .. " " .. point[2]
        journal = reset()
        local ended = script(what, journal, { "strace", "-f", "-qq", "-o", "/dev/null", "-e",
          ("inject=%s:signal=KILL:when=%d"):format(point[1], point[2]) })
        tried, deaths = tried + 1, deaths + (ended == 0 and 0 or 1)
        local again, second, trouble = script(what, journal)
        assert(again == 0, at .. ": " .. trouble)
        assert.are.equal(report, second, at)
        assert.are.equal(whole, made(), at)
      end
      -- how often a call comes varies a little from run to run
      assert.is_true(deaths > 0.8 * tried, deaths .. " deaths in " .. tried)
    end)
  end
end)
