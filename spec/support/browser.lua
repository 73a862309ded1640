-- A headless Chromium for specs, driven by its chromedriver over HTTP with
-- curl. Knows WebDriver (w3.org/TR/webdriver2); knows no page.

local cjson = require "cjson"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}
local Browser = {}
Browser.__index = Browser

local FLAGS = {
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-dev-shm-usage", "--hide-scrollbars",
}

---Is there a browser at all?
function M.here()
  return os.execute "command -v chromedriver >/dev/null && command -v chromium >/dev/null"
end

local function curl(method, url, body)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(body and cjson.encode(body) or "{}")
  file:close()
  local data = method == "GET" and "" or "-H 'Content-Type: application/json' -d @" .. path
  local pipe = assert(io.popen(("curl -s --max-time 60 -X %s %s '%s'"):format(method, data, url)))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  local reply = cjson.decode(text)
  local value = reply.value
  assert(type(value) ~= "table" or not value.error, text)
  return value
end

---Starts a browser. opts: dark (colour scheme), width, height.
function M.start(opts)
  local self = setmetatable({ dir = process.tempdir() }, Browser)
  self.driver = process.start({ "chromedriver", "--port=0" }, { env = { HOME = self.dir } })
  local port = wait.eventually(function()
    return self.driver:out():match "successfully on port (%d+)"
  end, 20, "chromedriver")
  local args = { "--user-data-dir=" .. self.dir .. "/profile",
    ("--window-size=%d,%d"):format(opts.width or 1200, opts.height or 900) }
  for _, flag in ipairs(FLAGS) do args[#args + 1] = flag end
  if opts.dark then args[#args + 1] = "--blink-settings=preferredColorScheme=0" end
  local session = curl("POST", "http://127.0.0.1:" .. port .. "/session", {
    capabilities = { alwaysMatch = { browserName = "chrome",
      ["goog:chromeOptions"] = { args = args } } },
  })
  self.url = ("http://127.0.0.1:%s/session/%s"):format(port, session.sessionId)
  return self
end

function Browser:open(url) curl("POST", self.url .. "/url", { url = url }) end

---The value of a JavaScript expression.
function Browser:eval(expression)
  local value = curl("POST", self.url .. "/execute/sync",
    { script = "return " .. expression, args = { 0 } })
  if value == cjson.null then return nil end
  return value
end

---Waits until an expression is true, and gives its value.
function Browser:await(expression, timeout)
  return wait.eventually(function()
    return self:eval(expression) or nil
  end, timeout or 20, expression)
end

---Clicks what a CSS selector finds.
function Browser:click(selector)
  self:eval(("document.querySelector(%s).click()"):format(cjson.encode(selector)))
end

---Writes into a field, as its user would leave it.
function Browser:fill(selector, text)
  self:eval(([[(() => { const e = document.querySelector(%s); e.value = %s;
    e.dispatchEvent(new Event("change")); })()]]):format(
    cjson.encode(selector), cjson.encode(text)))
end

---Saves what is seen as a PNG file.
function Browser:screenshot(path)
  local text = curl("GET", self.url .. "/screenshot")
  local pipe = assert(io.popen("base64 -d >" .. process.quote(path), "w"))
  pipe:write(text)
  pipe:close()
end

function Browser:stop()
  if self.url then pcall(curl, "DELETE", self.url) end
  self.driver:stop()
  os.execute("rm -rf " .. process.quote(self.dir))
end

return M
