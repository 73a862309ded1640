-- What the documents show runs: every ```lua block of README.md and doc/ is a
-- script that ends well and prints what its `-->` comments say (`…` stands for
-- anything). A block that cannot run here says so above it: <!-- not run: why -->.

local paths = require "spec.support.paths"
local process = require "spec.support.process"

-- what a reader has at hand after the README's first script
local PRELUDE = [[
taskclient = require "taskclient"
linkis = assert(taskclient.linkis())
lindorm = assert(taskclient.lindorm())
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local function documents()
  local list = { "README.md" }
  for path in io.popen "ls doc/*.md":lines() do list[#list + 1] = path end
  return list
end

-- The blocks of a document: {line=, text=, reason=}.
local function blocks_of(path)
  local list, n, block, before = {}, 0, nil, ""
  for line in io.lines(path) do
    n = n + 1
    if line:find "^%s*```lua" then
      block = { line = n, reason = before:match "<!%-%- not run: (.-) %-%->", lines = {} }
    elseif block and line:find "^%s*```" then
      block.text = table.concat(block.lines, "\n") .. "\n"
      list[#list + 1], block = block, nil
    elseif block then
      block.lines[#block.lines + 1] = line
    end
    if line:find "%S" then before = line end
  end
  return list
end

-- What a block says it prints, as a pattern over its whole output, or nil.
local function expected_of(text)
  local list = {}
  for said in text:gmatch "%-%-> ?([^\n]*)" do list[#list + 1] = said end
  if #list == 0 then return nil end
  local pattern = table.concat(list, "\n"):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  return "^" .. pattern:gsub("…", ".-") .. "\n$"
end

describe("the documents", function()
  local sandbox, folder, environment

  setup(function()
    local here = io.popen("pwd"):read "l"
    folder = process.tempdir()
    assert(os.execute(("mkdir %s/people"):format(folder)))
    write(folder .. "/people/1.csv", "1,Ada\n2,Grace\n")
    write(folder .. "/prelude.lua", PRELUDE)
    sandbox = assert(require "taskclient.sandbox".start {
      lindorm = { sources = { landing = folder }, create_tables = true },
    })
    environment = {
      LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(here, here),
      LUA_CPATH = ("%s/%s/%s/?.so;;"):format(here, paths.build, paths.lua), LC_ALL = "C.UTF-8",
      TASKCLIENT_LINKIS_URL = sandbox.url, TASKCLIENT_LINKIS_USER = sandbox.user,
      TASKCLIENT_LINKIS_PASSWORD = sandbox.password, TASKCLIENT_LINKIS_TOKEN = false,
      TASKCLIENT_LINDORM_URL = sandbox.lindorm_url,
    }
  end)

  teardown(function()
    sandbox:stop()
    os.execute("rm -rf " .. process.quote(folder))
  end)

  local function run(block)
    write(folder .. "/block.lua", block.text)
    return process.run({ paths.lua, "-e", 'dofile "prelude.lua"', "block.lua" },
      { dir = folder, env = environment })
  end

  for _, path in ipairs(documents()) do
    for _, block in ipairs(blocks_of(path)) do
      local name = ("%s:%d"):format(path, block.line)
      if block.reason then
        it(name .. " is Lua, though not run: " .. block.reason, function()
          assert(load(block.text, name))
        end)
      else
        it(name .. " runs and prints what it says", function()
          local code, output, complaint = run(block)
          assert.equal(0, code, complaint)
          local expected = expected_of(block.text)
          if expected then
            assert(output:find(expected), ("%s printed\n%s"):format(name, output))
          end
        end)
      end
    end
  end

  it("lead only to files that are there", function()
    for _, path in ipairs(documents()) do
      local beside = path:match "^(.*/)" or ""
      for line in io.lines(path) do
        for target in line:gmatch "%]%(([^)#:]+)%)" do
          assert(io.open(beside .. target), ("%s: no %s"):format(path, target)):close()
        end
      end
    end
  end)

  it("holds the first script whole, in ten lines", function()
    assert.is_true(select(2, blocks_of("README.md")[1].text:gsub("\n", "")) <= 11)
  end)
end)
