-- What goes out, how long is waited, and what is said in the end, for each kind of operation
-- and each kind of fault: the real client against a scripted server, on a clock that sleeping
-- moves, with all of the jitter.

local core = require "taskclient.core"
local fault = require "spec.support.fault"
local pages = require "taskclient.linkis.results.pages"
local pump = require "taskclient.host.driver"
local taskclient = require "taskclient"

-- A host whose sleeps cost no time; what was slept is counted.
local slept, ahead = 0, 0
local clocked = { name = "clocked", timed = true }
function clocked.await(call, seconds)
  local deadline = seconds and core.now() + seconds or math.huge
  while not call:done() and core.now() < deadline do pump.step(0.2) end
end
function clocked.sleep(seconds) slept, ahead = slept + seconds, ahead + seconds end

local unpack = table.unpack or unpack -- luacheck: ignore
local NO_SERVER = "http://127.0.0.1:9" -- the port of "discard", where nothing listens
local RECORD = { taskID = 1, status = "Running", progress = "0.1" }
-- Connections are not kept: libcurl sends a read again by itself where a kept one is dead.
local CLOSE = { headers = { "Connection: close" } }
local LOGGED_IN = fault.linkis({ userName = "u" }, CLOSE)
local IN_CLEAR = fault.linkis({ enableLoginEncrypt = false }, CLOSE)

-- Which requests count, and how each operation is asked for.
local CLASSES = {
  read = { pattern = "/get", ask = function(client, opts)
    return client:call("get", { id = "1" }, opts)
  end },
  change = { pattern = "/submit", ask = function(client, opts)
    return client:call("submit", { body = "{}" }, opts)
  end },
  batch = { pattern = "/list%-taskids", ask = function(client, opts)
    return client:states({ client:attach(1), client:attach(2) }, opts)
  end },
  page = { pattern = "/openFile", ask = function(client, opts)
    return pages.open({ client = client, path = "hdfs:///r/_0.dolphin", job = { id = 1 } },
      { once = true, timeout = opts and opts.timeout }):next(function(facts) return facts, 1 end)
  end },
  login = { pattern = "POST .*/login", ask = function(client, opts)
    return client:call("get", { id = "1" }, opts)
  end },
}

local function reply(bytes) return { { "read" }, { "send", bytes } } end
local function status(code, headers) return reply(fault.http(code, "", headers)) end

local FAULTS = {
  ["408"] = status(408), ["425"] = status(425), ["429"] = status(429), ["503"] = status(503),
  ["500"] = status(500),
  ["429 after 3"] = status(429, { "Retry-After: 3" }),
  ["503 after 7"] = status(503, { "Retry-After: 7" }),
  ["503 after 61"] = status(503, { "Retry-After: 61" }),
  ["reset"] = { { "read" }, { "rst" } },
  ["cut"] = { { "read" }, { "send", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{" }, { "fin" } },
  ["401"] = status(401),
  ["401 in the body"] = reply(fault.linkis(nil, { status = -1, message = "not logged in",
    http = 200 })),
  ["refused"] = reply(fault.linkis(nil, { status = 1, http = 400, message = "no" })),
  ["silence"] = { { "read" }, { "stall" } },
}

-- class, fault -> requests, seconds slept, kind, outcome, logins (one is the first of all).
local TABLE = {
  { "read", "408", 3, 0.3, "http", nil, 1 },
  { "read", "425", 1, 0, "http", nil, 1 },
  { "read", "429", 3, 6, "http", nil, 1 },
  { "read", "429 after 3", 3, 7, "http", nil, 1 },
  { "read", "503", 3, 6, "http", nil, 1 },
  { "read", "503 after 7", 3, 14, "http", nil, 1 },
  { "read", "503 after 61", 1, 0, "http", nil, 1 },
  { "read", "500", 3, 0.3, "http", nil, 1 },
  { "read", "reset", 3, 0.3, "network", nil, 1 },
  { "read", "cut", 3, 0.3, "network", nil, 1 },
  { "read", "401", 2, 0, "auth", nil, 2 },
  { "read", "401 in the body", 2, 0, "auth", nil, 2 },
  { "read", "refused", 1, 0, "service", nil, 1 },

  { "change", "408", 1, 0, "http", "unknown", 1 },
  { "change", "425", 1, 0, "http", "rejected", 1 },
  { "change", "429", 1, 0, "http", "rejected", 1 },
  { "change", "503", 1, 0, "http", "unknown", 1 },
  { "change", "503 after 7", 1, 0, "http", "unknown", 1 },
  { "change", "500", 1, 0, "http", "unknown", 1 },
  { "change", "reset", 1, 0, "network", "unknown", 1 },
  { "change", "cut", 1, 0, "network", "unknown", 1 },
  { "change", "401", 2, 0, "auth", "rejected", 2 },
  { "change", "401 in the body", 2, 0, "auth", "rejected", 2 },
  { "change", "refused", 1, 0, "service", "rejected", 1 },

  { "login", "408", 0, 0.3, "http", nil, 3 },
  { "login", "425", 0, 0, "http", nil, 1 },
  { "login", "429", 0, 6, "http", nil, 3 },
  { "login", "429 after 3", 0, 7, "http", nil, 3 },
  { "login", "503", 0, 6, "http", nil, 3 },
  { "login", "503 after 61", 0, 0, "http", nil, 1 },
  { "login", "reset", 0, 0.3, "network", nil, 3 },
  { "login", "cut", 0, 0.3, "network", nil, 3 },
  { "login", "401", 0, 0, "auth", nil, 1 },
  { "login", "refused", 0, 0, "auth", nil, 1 },

  { "batch", "408", 3, 0.3, "http", nil, 1 },
  { "batch", "429", 3, 6, "http", nil, 1 },
  { "batch", "503 after 7", 3, 14, "http", nil, 1 },
  { "batch", "reset", 3, 0.3, "network", nil, 1 },
  { "batch", "cut", 3, 0.3, "network", nil, 1 },
  { "batch", "401", 2, 0, "auth", nil, 2 },

  { "page", "425", 1, 0, "http", nil, 1 },
  { "page", "401", 2, 0, "auth", nil, 2 },
  { "page", "refused", 1, 0, "service", nil, 1 },
}

describe("a request", function()
  local fs, real_now, real_random
  setup(function()
    fs = fault.start()
    real_now, real_random = core.now, core.random
  end)
  teardown(function() fs:stop() end)
  before_each(function()
    slept, ahead = 0, 0
    core.now = function() return real_now() + ahead end
    core.random = function(n) return n == 4 and "ffffffff" or real_random(n) end
  end)
  after_each(function() core.now, core.random = real_now, real_random end)

  local function new_client(opts)
    local all = { url = fs.url, user = "u", password = "p", host = clocked }
    for name, value in pairs(opts or {}) do all[name] = value end
    if all.token then all.password = nil end
    return assert(taskclient.linkis(all))
  end

  -- A server that is well but for one kind of request.
  local function script(pattern, steps, times)
    local broken = { match = pattern, times = times }
    for i, step in ipairs(steps) do broken[i] = step end
    fs:script { broken,
      { match = "publicKey", reply = IN_CLEAR },
      { match = "POST .*/login", reply = LOGGED_IN },
      { match = "/get", reply = fault.linkis { task = RECORD } },
      { match = "/submit", reply = fault.linkis { taskID = 7 } },
      { match = "/list%-taskids", reply = fault.linkis { jobHistoryList = { RECORD,
        { taskID = 2, status = "Running" } } } },
    }
  end

  local function logins() return #fs:requests "POST .*/login" end
  local function hundredths(seconds) return math.floor(seconds * 100 + 0.5) / 100 end

  for _, row in ipairs(TABLE) do
    local class, what, sent, seconds, kind, outcome, login_count = unpack(row, 1, 7)
    it(("for a %s that meets %s is sent %d times in %g s"):format(class, what, sent,
      seconds), function()
      script(CLASSES[class].pattern, FAULTS[what])
      local client = new_client()
      local value, err = CLASSES[class].ask(client)
      assert.is_nil(value)
      assert.same({ kind = kind, outcome = outcome }, { kind = err.kind, outcome = err.outcome })
      local counted = class == "login" and "/get" or CLASSES[class].pattern
      assert.equal(sent, #fs:requests(counted))
      assert.equal(seconds, hundredths(slept))
      assert.equal(login_count, logins())
      client:close()
    end)
  end

  for _, class in ipairs { "read", "batch", "page" } do
    it(("for a %s that is well again the second time gives its reply"):format(class), function()
      script(CLASSES[class].pattern, FAULTS["429 after 3"], 1)
      if class == "page" then -- which brings no rows, and so is the last
        fs:script {
          { match = "/openFile", times = 1, { "read" },
            { "send", fault.http(429, "", { "Retry-After: 3" }) } },
          { match = "/openFile", reply = fault.linkis { metadata = {}, fileContent = {},
            type = "1" } },
          { match = "publicKey", reply = IN_CLEAR },
          { match = "POST .*/login", reply = LOGGED_IN },
        }
      end
      local client = new_client()
      assert(CLASSES[class].ask(client))
      assert.equal(2, #fs:requests(CLASSES[class].pattern))
      assert.equal(3, hundredths(slept))
      client:close()
    end)
  end

  for _, what in ipairs { "401", "401 in the body" } do
    for _, class in ipairs { "read", "change" } do
      it(("for a %s is sent again after a new login: %s"):format(class, what), function()
        script(CLASSES[class].pattern, FAULTS[what], 1)
        local client = new_client()
        assert(CLASSES[class].ask(client))
        assert.same({ 2, 2, 0 }, { #fs:requests(CLASSES[class].pattern), logins(), slept })
        client:close()
      end)
    end
  end

  it("for a page that fails is borne for a minute, ever more slowly, and told then", function()
    script("/openFile", FAULTS["500"])
    local client = new_client()
    local value, err = CLASSES.page.ask(client)
    assert.is_nil(value)
    assert.equal("http", err.kind)
    assert.is_true(slept > 50 and slept <= 60, slept .. " s")
    assert.is_true(#fs:requests "/openFile" < 70, #fs:requests "/openFile" .. " requests")
    client:close()
  end)

  it("that has retry = false is sent once", function()
    script("/get", FAULTS["500"])
    local client = new_client()
    CLASSES.read.ask(client, { retry = false })
    assert.same({ 1, 0 }, { #fs:requests "/get", slept })
    client:close()
  end)

  it("is not sent again where the pause would go beyond its deadline", function()
    script("/get", FAULTS["503 after 7"])
    local client = new_client()
    local _, err = CLASSES.read.ask(client, { timeout = 5 })
    assert.same({ 1, 0, 7 }, { #fs:requests "/get", slept, err.retry_after })
    client:close()
  end)

  it("that nobody hears goes out three times, whatever it changes", function()
    for _, class in ipairs { "read", "change" } do
      slept = 0
      local client = new_client { url = NO_SERVER, token = "t" }
      local _, err = CLASSES[class].ask(client)
      assert.same({ "network", 3, 0.3 }, { err.kind, err.attempts, hundredths(slept) })
      assert.equal(class == "change" and "not_sent" or nil, err.outcome)
      client:close()
    end
  end)

  it("that meets a bad certificate goes out once: no asking mends that", function()
    fs:script { { accept = true, { "send", "HTTP/1.1 400 Bad Request\r\n\r\n" }, { "fin" } } }
    for _, class in ipairs { "read", "change" } do
      slept = 0
      local client = new_client { url = fs.url:gsub("^http:", "https:"), token = "t" }
      local _, err = CLASSES[class].ask(client)
      assert.same({ "tls", 1, 0 }, { err.kind, err.attempts, slept })
      assert.equal(class == "change" and "not_sent" or nil, err.outcome)
      client:close()
    end
  end)

  it("of a client in an outage goes out again only as far as the client's budget lasts", function()
    script("/get", FAULTS["500"])
    local client = new_client()
    local n = 100
    for _ = 1, n do CLASSES.read.ask(client) end
    assert.equal(n + 35, #fs:requests "/get") -- 500 for the retries, each 14
    client:close()

    script("/get", FAULTS["429"])
    client = new_client()
    for _ = 1, n do CLASSES.read.ask(client) end
    assert.equal(n + 100, #fs:requests "/get") -- each 5: they are spread out by themselves
    -- what succeeds gives back what it took
    script("never", {})
    for _ = 1, 20 do assert(CLASSES.read.ask(client)) end
    script("/get", FAULTS["500"])
    CLASSES.read.ask(client)
    assert.equal(2, #fs:requests "/get") -- 20 of 500 are there again: one retry
    client:close()
  end)

  it("never takes the password out in the clear where the key exchange got no answer", function()
    for _, what in ipairs { "silence", "reset", "cut" } do
      script("publicKey", FAULTS[what])
      local client = new_client { timeout = 0.2 }
      local _, err = CLASSES.read.ask(client)
      assert.truthy(err.kind == "timeout" or err.kind == "network", err.kind)
      assert.equal(0, logins())
      client:close()
    end
    script("publicKey", FAULTS["425"]) -- a server that knows no key exchange says so
    local client = new_client()
    assert(CLASSES.read.ask(client))
    assert.equal(1, logins())
    client:close()
  end)

  it("makes one new login for all that the server refuses at the same time", function()
    script("/get", FAULTS["401"], 20)
    local client = new_client { host = "loop" }
    core.now = real_now
    taskclient.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = taskclient.spawn(function() return CLASSES.read.ask(client) end)
      end
      for _, task in ipairs(tasks) do assert(taskclient.join(task)) end
    end)
    assert.equal(2, logins())
    client:close()
  end)

  it("asks a user directory that is away ever more rarely, once it has known the user", function()
    script("never", {})
    local client = new_client()
    assert(CLASSES.read.ask(client))
    fs:script {
      { match = "publicKey", reply = IN_CLEAR },
      { match = "POST .*/login", { "read" }, { "send", fault.linkis(nil,
        { status = 1, http = 400, message = "wrong user name or password" }) } },
      { match = "/get", { "read" }, { "send", fault.http(401, "") } },
    }
    local times, last = {}, nil
    for second = 0, 1200 do
      local _, err = CLASSES.read.ask(client)
      assert.equal("auth", err.kind)
      assert.is_true(err.answered_before)
      if logins() > #times then times[#times + 1] = second end
      last = err
      ahead = ahead + 1
    end
    assert.matches("wrong user name", last.message)
    assert.is_true(last.retry_after > 0)
    assert.is_true(#times >= 6 and #times <= 8, table.concat(times, " "))
    for i = 3, #times do
      assert.is_true(times[i] - times[i - 1] > times[i - 1] - times[i - 2],
        table.concat(times, " "))
    end
    -- and is well at once when it is let in again
    script("never", {})
    ahead = ahead + 700
    assert(CLASSES.read.ask(client))
    assert(CLASSES.read.ask(client))
    client:close()
  end)
end)
