-- Where the sandbox takes its nginx from.

local process = require "spec.support.process"

describe("the sandbox's nginx", function()
  local CODE = [[
    package.path = "./lua/?.lua;" .. package.path
    local found, err = require("taskclient.sandbox.nginx").find()
    if not found then
      io.write("none ", err)
    else
      io.write(found.bin, "\n", found.version, "\n", found.lua_path, "\n",
        table.concat(found.load, "\t"), "\n")
    end]]

  local function find(env)
    local code, out, err = process.run({ "lua5.4", "-e", CODE }, { env = env })
    assert.equal(0, code, err)
    return out
  end

  it("runs, with the Lua module and resty.core", function()
    local bin, version, _, load = find {}:match "^(/[^\n]+)\n(%d[%d.]+)\n([^\n]*)\n([^\n]*)\n$"
    assert.truthy(bin)
    local code, _, err = process.run { bin, "-v" }
    assert.equal(0, code)
    assert.truthy(err:find(version, 1, true))
    for path in load:gmatch "[^\t]+" do
      local file = assert(io.open(path, "rb"))
      file:close()
    end
  end)

  it("is the one TASKCLIENT_NGINX names, or an error that says so", function()
    local bin = find {}:match "^[^\n]+"
    assert.equal(bin, find { TASKCLIENT_NGINX = bin }:match "^[^\n]+")
    assert.truthy(find { TASKCLIENT_NGINX = "/nonexistent/nginx" }
      :find("none TASKCLIENT_NGINX: /nonexistent/nginx is not there", 1, true))
    assert.truthy(find { TASKCLIENT_NGINX = "/bin/true" }:find("does not run as nginx", 1, true))
  end)
end)
