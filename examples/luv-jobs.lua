-- Three jobs side by side in the libuv loop, beside a timer of the program's
-- own:  TASKCLIENT_LINKIS_URL=… _USER=… _PASSWORD=… lua5.4 examples/luv-jobs.lua

local uv = require "luv"
local taskclient = require "taskclient"

local client = assert(taskclient.linkis { host = "luv" })

local function work(n)
  local job = assert(client:submit {
    code = ("echo job %d; sleep 1; echo done"):format(n), run_type = "shell", engine = "shell-1",
  })
  local state = job:wait { poll = 0.2 }
  print(("job %d: %s"):format(n, state))
end

local clock, ticks = uv.new_timer(), 0
clock:start(0, 100, function() ticks = ticks + 1 end)
clock:unref() -- the loop ends with the last job

for n = 1, 3 do coroutine.wrap(work)(n) end
uv.run()
print(("the loop has ended; its own timer ran meanwhile: %s"):format(tostring(ticks > 5)))
