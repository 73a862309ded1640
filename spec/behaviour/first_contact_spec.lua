-- What goes wrong on a user's first day: each answer says what to do, and that
-- nothing was submitted.

local servers = require "spec.support.server"
local taskclient = require "taskclient"

local SPEC = { code = "select 1", run_type = "sql", engine = "spark-3.2.1" }

describe("a first contact", function()
  local server
  setup(function() server = servers.linkis() end)

  local function submit(opts)
    local client = assert(taskclient.linkis(opts))
    local job, err = client:submit(SPEC)
    client:close()
    assert.is_nil(job)
    assert.equal("not_sent", err.outcome)
    return err
  end

  it("with a wrong password names the options", function()
    local err = submit { url = server.url, user = "hadoop", password = "not-this" }
    assert.equal("auth", err.kind)
    assert.matches("options 'user' and 'password'", tostring(err))
  end)

  it("with no user at all asks for one", function()
    local err
    servers.without_environment(function() err = submit { url = server.url } end)
    assert.equal("auth", err.kind)
    assert.matches("give user and password", tostring(err))
  end)

  it("with a wrong port names the address", function()
    local err = submit { url = "http://127.0.0.1:1", user = "a", password = "b" }
    assert.equal("network", err.kind)
    assert.matches("127.0.0.1:1: the connection failed", err.message)
  end)

  it("with https where http is spoken says so", function()
    if not server.url:find "^http:" then return pending "this server speaks https" end
    local err = submit { url = server.url:gsub("^http", "https"), user = "a", password = "b" }
    assert.equal("tls", err.kind)
    assert.matches("http://%?", err.hint)
  end)

  it("with the address of another service doubts it", function()
    local client = assert(taskclient.linkis { url = servers.lindorm().url, user = "a",
      password = "b" })
    local _, err = client:submit(SPEC)
    assert.equal("http", err.kind)
    assert.matches("option 'url'", err.hint)
    client:close()
  end)

  it("with an engine that is not there names the field", function()
    local client = assert(taskclient.linkis { url = server.url, user = server.user,
      password = server.password })
    local job = assert(client:submit { code = "x", run_type = "sql", engine = "nope-1" })
    local state, _, err = job:wait { timeout = 120 }
    assert.equal("failed", state)
    assert.matches("field 'engine'", tostring(err))
    client:close()
  end)

  it("with a method called by a dot says how it is called", function()
    local client = assert(taskclient.linkis { url = server.url, user = server.user,
      password = server.password })
    local job = client:attach(1)
    assert.error_matches(function() job.wait { timeout = 1 } end, "job:wait%?")
    assert.error_matches(function() taskclient.wait_all { job, 3 } end,
      "jobs%[2%]: a job expected, got number")
    assert.error_matches(function() client:list { state = "success" } end,
      "unknown state 'success' %(known: queued")
    local _, why = pcall(function() client:list { sicne = 1 } end)
    assert.matches("first_contact_spec.lua:%d+: bad argument to 'list'", why)
    client:close()
  end)
end)
