-- Runs the behaviour specs in one host: LUA spec/host/one.lua HOST [spec …]
-- Prints what failed, and as the last line "passed failed skipped".

package.path = "./?.lua;" .. package.path
local name = arg[1]
local files = arg[2] and { (table.unpack or unpack)(arg, 2) } -- luacheck: ignore 113 143

-- "nginx-tick": without the thread pool
local function in_nginx()
  local nginx = require("spec.support.nginx").start {
    pool = name == "nginx",
    locations = { ["/run"] = 'ngx.print(require("spec.host.cases").run("nginx"))' },
  }
  local report = nginx:get "/run"
  nginx:stop()
  return report
end

local report = name:find "^nginx" and in_nginx() or require("spec.host.cases").run(name, files)
io.write(report)
os.exit(report:find "%d+ 0 %d+\n$" and 0 or 1)
