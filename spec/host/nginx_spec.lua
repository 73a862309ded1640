-- The nginx host where only nginx is: phases, both ways to wait, clients that
-- go away, reload and shutdown, one client for a worker. nginx is real.

local fault = require "spec.support.fault"
local nginx = require "spec.support.nginx"
local servers = require "spec.support.server"
local wait = require "spec.support.wait"

local taskclient = require "taskclient"

local CLIENT = [[
  local taskclient = require "taskclient"
  function the_client()
    shared = shared or assert(taskclient.linkis { url = os.getenv "SPEC_URL",
      user = os.getenv "SPEC_USER", password = os.getenv "SPEC_PASSWORD" })
    return shared
  end
  function submit(code)
    return assert(the_client():submit { code = code, run_type = "shell", engine = "shell-1" })
  end
  function known(what) ngx.shared.known:set(what, true) end
]]

local PLACES = {
  ["/content"] = 'local job = submit "echo x" job:wait { poll = 0.1 } ngx.print((job:status()))',
  ["/access"] = [[
    access_by_lua_block {
      local job = submit "echo x"
      ngx.ctx.state = job:wait { poll = 0.1 }
    }
    content_by_lua_block { ngx.print(ngx.ctx.state) }]],
  ["/rewrite"] = [[
    rewrite_by_lua_block { ngx.ctx.state = submit "echo x":wait { poll = 0.1 } }
    content_by_lua_block { ngx.print(ngx.ctx.state) }]],
  ["/timer"] = [[
    local done = require("ngx.semaphore").new()
    local state
    ngx.timer.at(0, function()
      state = submit "echo x":wait { poll = 0.1 }
      done:post()
    end)
    done:wait(20)
    ngx.print(state)]],
  ["/worker"] = [[
    for _ = 1, 200 do
      if started then break end
      ngx.sleep(0.05)
    end
    ngx.print(started)]],
  ["/module"] = [[
    package.preload.jobs = function() return submit "echo x" end
    local _, why = pcall(require, "jobs")
    package.loaded.jobs = nil
    package.preload.jobs = function() return { go = function() return submit "echo x" end } end
    ngx.print((tostring(why):gsub("\n.*", "")), " ", require("jobs").go().id)]],
  ["/header"] = [[
    content_by_lua_block { ngx.print "x" }
    header_filter_by_lua_block {
      local ok, why = pcall(function() return the_client():call("userInfo") end)
      ngx.header["X-Why"] = tostring(why):gsub("\n.*", "")
    }]],
  ["/log"] = [[
    content_by_lua_block { ngx.print "x" }
    log_by_lua_block {
      local ok, why = pcall(function() return the_client():call("userInfo") end)
      ngx.shared.known:set("log", tostring(why))
    }]],
  ["/logged"] = 'ngx.print(ngx.shared.known:get "log")',
  ["/init"] = "ngx.print(in_init)",
  ["/clients"] = [[
    local seen = {}
    for i = 1, 5 do seen[tostring(the_client())] = true end
    ngx.print(tostring(shared == the_client()))]],
  ["/long"] = [[
    local job = submit "sleep 60"
    ngx.say(job.id)
    ngx.flush(true)
    job:wait { poll = 0.1 }
    ngx.say "ended"]],
  ["/short"] = [[
    local job = submit "sleep 1.5"
    ngx.say(job.id)
    ngx.flush(true)
    ngx.say((job:wait { poll = 0.1 }))]],
  ["/background"] = [[
    local job = submit "sleep 60"
    ngx.timer.at(0, function() job:wait { poll = 5 } end)
    ngx.say(job.id)]],
  ["/ping"] = 'ngx.print "pong"',
}

for _, way in ipairs { "a thread pool", "a tick" } do
  describe("nginx, waiting by " .. way, function()
    local server, web, outside

    setup(function()
      server = servers.linkis()
      outside = assert(taskclient.linkis { url = server.url, user = server.user,
        password = server.password })
      web = nginx.start {
        pool = way == "a thread pool", locations = PLACES,
        env = { SPEC_URL = server.url, SPEC_USER = server.user, SPEC_PASSWORD = server.password },
        http = "lua_shared_dict known 1m;\ninit_by_lua_block {" .. CLIENT .. [[
            in_init = select(2, pcall(function() return the_client():call "userInfo" end))
            shared = nil
          }
          init_worker_by_lua_block {
            ngx.timer.at(0, function(premature)
              if premature then return end
              local _, err = the_client():call("userInfo")
              started = err and tostring(err) or "asked"
            end)
          }]],
      }
    end)
    teardown(function()
      web:stop()
      outside:close()
    end)

    for _, phase in ipairs { "content", "access", "rewrite", "timer" } do
      it("works in phase " .. phase, function()
        assert.equal("succeeded", web:get("/" .. phase))
      end)
    end

    it("works in init_worker by a timer", function()
      assert.equal("asked", web:get "/worker")
    end)

    it("says what to do where nginx cannot wait", function()
      local header = web:get("/header", "-i")
      assert.matches("X%-Why: .*nginx phase 'header_filter': do it in a timer", header)
      web:get "/log"
      assert.matches("phase 'log': do it in a timer", web:get "/logged")
      assert.matches("phase 'init': do it in a timer, in init_worker_by_lua", web:get "/init")
    end)

    it("says what to do while require runs a module, which can be loaded anew", function()
      assert.matches("cannot wait here, .*a module that require runs.* %d+$", web:get "/module")
    end)

    it("shares one client in a worker", function()
      assert.equal("true", web:get "/clients")
    end)

    local function first_line(child)
      return wait.eventually(function() return child:out():match "^(%d+)\n" end, 20, "a job's id")
    end

    it("ends the wait of a browser that went away, never its job", function()
      local browser = web:ask "/long"
      local job = outside:attach(tonumber(first_line(browser)))
      browser:signal "KILL"
      browser:wait(5)
      browser:stop()
      assert.equal("pong", web:get "/ping")
      assert.equal("succeeded", web:get "/content")
      assert.equal("running", (job:status()))
      assert(job:abort())
    end)

    it("loses no job when it is reloaded, and ends no wait", function()
      local browser = web:ask "/short"
      local id = tonumber(first_line(browser))
      web:signal "HUP"
      assert.equal(0, browser:wait(20))
      assert.equal(id .. "\nsucceeded\n", browser:out())
      browser:stop()
      assert.equal("succeeded", web:get "/content")
    end)

    it("does not keep a worker for a job watched in a timer", function()
      local id = tonumber((web:get "/background"):match "%d+")
      local began = wait.now()
      web:signal "QUIT"
      web.child:wait(8)
      assert.is_true(wait.now() - began < 4)
      local job = outside:attach(id)
      assert.equal("running", (job:status()))
      assert(job:abort())
    end)
  end)
end

-- What all requests of a worker share must not hang by one of them. The
-- server is the fault server, so that each of its replies can be held back.
for _, way in ipairs { "a thread pool", "a tick" } do
  describe("nginx under load, waiting by " .. way, function()
    local fs, web

    local function start(places, http)
      web = nginx.start {
        pool = way == "a thread pool", env = { SPEC_URL = fs.url }, locations = places,
        http = (http or "") .. [[
          init_by_lua_block {
            function the_client()
              shared = shared or assert(require("taskclient").linkis { url = os.getenv "SPEC_URL",
                user = "u", password = "p", timeout = 10 })
              return shared
            end
            function get()
              local data, err = the_client():call("get", { id = "1" })
              return data and "got" or tostring(err)
            end
          }]],
      }
    end

    local TASK = fault.linkis { task = { taskID = 1, status = "Running" } }
    local LOGIN = fault.http(200, fault.envelope { userName = "u" },
      { "Content-Type: application/json", "Set-Cookie: ticket=abcdefghijkl; Path=/" })

    before_each(function() fs = fault.start() end)
    after_each(function()
      web:stop()
      fs:stop()
    end)

    it("goes on with a login whose browser went away", function()
      fs:script {
        { match = "/publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
        { match = "/user/login", { "read" }, { "hold", "login" }, { "send", LOGIN } },
        default = { { "read" }, { "send", TASK } },
      }
      start { ["/get"] = "ngx.print(get())" }
      local browser = web:ask "/get"
      wait.eventually(function() return #fs:requests "/user/login" > 0 end, 10, "the login")
      browser:signal "KILL"
      browser:wait(5)
      browser:stop()
      local others = { web:ask "/get", web:ask "/get" }
      fs:release "login"
      for _, other in ipairs(others) do
        other:wait(10)
        assert.equal("got", other:out())
        other:stop()
      end
      assert.equal(1, #fs:requests "/user/login")
    end)

    it("lets a request log in, and again, while its worker is asked to end", function()
      fs:script {
        { match = "/publicKey", times = 1, { "read" }, { "hold", "login" }, { "rst" } },
        { match = "/publicKey", reply = fault.linkis { enableLoginEncrypt = false } },
        { match = "/user/login", reply = LOGIN },
        default = { { "read" }, { "send", TASK } },
      }
      start { ["/get"] = "ngx.print(get())" }
      local browser = web:ask "/get"
      wait.eventually(function() return #fs:requests "/publicKey" > 0 end, 10, "the login")
      web:signal "HUP"
      wait.eventually(function() return web:log():find "gracefully shut" end, 10, "the end")
      fs:release "login"
      browser:wait(10)
      assert.equal("got", browser:out())
      browser:stop()
    end)

    it("wakes the others when a call of a browser that went away ends", function()
      fs:script { { match = "/user/login", reply = LOGIN },
        { match = "/get", { "read" }, { "hold", "get" }, { "send", TASK } },
        default = { { "read" }, { "send", TASK } } }
      start { ["/first"] = 'the_client():call "userInfo"', ["/get"] = "ngx.print(get())" }
      web:get "/first"
      local browsers = {}
      for i = 1, 10 do browsers[i] = web:ask "/get" end
      wait.eventually(function() return #fs:requests "/get" == 10 end, 10, "the requests")
      for i = 1, 5 do
        browsers[i]:signal "KILL"
        browsers[i]:wait(5)
      end
      wait.eventually(function()
        return select(2, web:log():gsub("prematurely", "")) == 5
      end, 10, "the aborts")
      fs:release "get"
      for i = 6, 10 do
        browsers[i]:wait(10)
        assert.equal("got", browsers[i]:out())
      end
      for _, browser in ipairs(browsers) do browser:stop() end
      assert.is_nil(web:log():match "[^\n]*attempt to[^\n]*")
    end)

    it("asks for the jobs of many requests at once", function()
      local rows = {}
      for id = 1, 20 do rows[id] = { taskID = id, status = "Running", progress = "0.5" } end
      fs:script {
        { match = "/list%-taskids", { "read" }, { "wait", 100 },
          { "send", fault.linkis { jobHistoryList = rows } } },
        { match = "/user/login", reply = LOGIN },
        default = { { "read" }, { "send", TASK } },
      }
      start { ["/wait"] = [[
        get()
        local job = the_client():attach(tonumber(ngx.var.arg_id))
        job:wait { poll = 0.5, timeout = 3 }]] }
      web:get "/wait?id=1"
      local before, browsers = #fs:requests "/list%-taskids", {}
      for id = 1, 20 do browsers[id] = web:ask("/wait?id=" .. id) end
      for _, browser in ipairs(browsers) do
        browser:wait(20)
        browser:stop()
      end
      -- 20 requests by themselves would ask 120 times
      local asked = #fs:requests "/list%-taskids" - before
      assert.is_true(asked < 50, asked .. " requests")
    end)

    it("does not need the timer that nginx drops", function()
      fs:script { { match = "/user/login", reply = LOGIN },
        default = { { "read" }, { "wait", 50 }, { "send", TASK } } }
      start({ ["/get"] = [[
        local seen, n = {}, 0
        for i = 1, 4 do
          ngx.timer.at(0, function() seen[i] = get() .. get() n = n + 1 end)
        end
        while n < 4 do ngx.sleep(0.01) end
        ngx.print(table.concat(seen, " "))]] }, "lua_max_running_timers 4;\n")
      assert.equal("gotgot gotgot gotgot gotgot", web:get("/get", "--max-time 20"))
      assert.matches("set lua_max_running_timers higher", web:log())
    end)

    if way == "a thread pool" then
      it("does not wait for other work of its pool", function()
        fs:script { { match = "/user/login", reply = LOGIN },
          default = { { "read" }, { "send", TASK } } }
        start {
          ["/get"] = "ngx.print(get())",
          ["/busy"] = [[
            ngx.log(ngx.WARN, "busy now")
            ngx.run_worker_thread("taskclient", "taskclient.host.nginx_wait", "wait", -1, 9000)]],
        }
        local busy = web:ask "/busy"
        wait.eventually(function() return web:log():find "busy now" end, 10, "the other work")
        local began = wait.now()
        assert.equal("got", web:get "/get")
        assert.equal("got", web:get "/get")
        assert.is_true(wait.now() - began < 6)
        assert.matches("should be taskclient's alone", web:log())
        busy:stop()
      end)
    end
  end)
end

describe("nginx", function()
  it("serves others while a server and a name stall", function()
    local fs = fault.start()
    fs:script { default = { { "read" }, { "stall" } } }
    local web = nginx.start {
      env = { SPEC_URL = fs.url }, locations = {
        ["/stalled"] = [[
          local client = require("taskclient").linkis { url = os.getenv "SPEC_URL", user = "u",
            token = "t", timeout = 30 }
          client:call("get", { id = "1" })]],
        ["/nowhere"] = [[
          local client = require("taskclient").linkis { url = "http://no-such-name.invalid",
            user = "u", token = "t", timeout = 3, allow_plaintext = true }
          local _, err = client:call("get", { id = "1" }, { retry = false })
          ngx.print(err.kind)]],
        ["/ping"] = 'ngx.print "pong"',
      },
    }
    local stalled = {}
    for i = 1, 20 do stalled[i] = web:ask "/stalled" end
    wait.eventually(function() return #fs:requests() >= 20 end, 20, "the stalled requests")
    stalled[21] = web:ask "/nowhere"
    local slowest = 0
    for _ = 1, 30 do
      local began = wait.now()
      assert.equal("pong", web:get "/ping")
      slowest = math.max(slowest, wait.now() - began)
    end
    assert.is_true(slowest < 1, slowest)
    stalled[21]:wait(20)
    assert.matches("^[nt]%a+$", stalled[21]:out())
    for _, child in ipairs(stalled) do child:stop() end
    web:stop()
    fs:stop()
  end)
end)
