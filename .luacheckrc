std = "min"
cache = false
codes = true
self = false
max_line_length = false -- .ci/style.lua counts columns, not bytes
exclude_files = { "build" }
-- asked for before it is used: not on every Lua
read_globals = { "unpack", math = { fields = { "type", "tointeger" } }, table = { fields = { "unpack" } } }

files["lua/taskclient/host/nginx.lua"].read_globals = { "ngx" }
files["lua/taskclient/host/nginx_drive.lua"].read_globals = { "ngx" }
files["lua/taskclient/sandbox/face*"].std = "ngx_lua"
files["lua/taskclient/sandbox/face/lindorm.lua"].std = "ngx_lua"
files["lua/taskclient/sandbox/literal.lua"].read_globals = { "loadstring", "setfenv" }
for _, name in ipairs { -- run by Lua 5.4 only
  "boot", "control", "engine", "folder", "groups", "loader", "orders", "sql_runner", "store",
  "supervise", "supervisor", "engine/*",
} do
  files["lua/taskclient/sandbox/" .. name .. ".lua"].std = "lua54"
end
files["spec/**/*_spec.lua"].std = "max+busted"
files["spec/traps"].std = "max+busted"
files["spec/support"].std = "max+busted"
files["spec/sandbox"].std = "max+busted"
files["spec/bench"].read_globals = { "ngx" }
files["spec/host"].read_globals = { "ngx" }
files[".ci"].std = "lua54"
files["examples"].std = "max"
files["examples/nginx"].std = "ngx_lua"
