// questions.go: Go's answers: a goroutine for each task, channels and wait groups between them.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var questions = map[string]func(){
	"fork_join":   forkJoin,
	"fan_out":     fanOut,
	"skynet":      skynet,
	"spawn_await": spawnAwait,
	"yield":       yield,
	"ping_pong":   pingPong,
	"channel":     channel,
	"lock":        lock,
	"alive":       alive,
	"timers":      timers,
	"sleepers":    sleepers,
	"to_thread":   toThread,
	"wake":        wake,
	"echo":        echo,
	"http":        hello,
}

func calls(n int64) int64 {
	if n < 2 {
		return 1
	}
	return 1 + calls(n-1) + calls(n-2)
}

func fib(n int64) int64 {
	if n < 2 {
		return n
	}
	var left, right int64
	var both sync.WaitGroup
	both.Add(2)
	go func() { left = fib(n - 1); both.Done() }()
	go func() { right = fib(n - 2); both.Done() }()
	both.Wait()
	return left + right
}

func forkJoin() {
	operations := calls(*size)
	start()
	sum := fib(*size)
	stop("", operations, sum)
}

func fanOut() {
	const width = 10
	var sum int64
	var results [width]chan int64
	for i := range results {
		results[i] = make(chan int64, 1)
	}
	start()
	for round := int64(0); round < *size; round++ {
		for i := int64(0); i < width; i++ {
			go func(i int64) { results[i] <- i }(i)
		}
		for i := range results {
			sum += <-results[i]
		}
	}
	stop("", *size*width, sum)
}

func skynetNode(number, leaves int64, result chan<- int64) {
	if leaves == 1 {
		result <- number
		return
	}
	results := make(chan int64, 10)
	for i := int64(0); i < 10; i++ {
		go skynetNode(number+i*(leaves/10), leaves/10, results)
	}
	var sum int64
	for i := 0; i < 10; i++ {
		sum += <-results
	}
	result <- sum
}

func skynet() {
	start()
	result := make(chan int64, 1)
	skynetNode(0, *size, result)
	stop("", *size, <-result)
}

func spawnAwait() {
	suspends := *form == "suspends"
	result := make(chan int64)
	var sum int64
	start()
	for i := int64(0); i < *size; i++ {
		go func(i int64) {
			if !suspends {
				result <- i
				return
			}
			var parts [4]int64
			for k := range parts {
				parts[k] = i * int64(k)
			}
			runtime.Gosched()
			result <- parts[1] + parts[2] + parts[3] - 5*i
		}(i)
		sum += <-result
	}
	stop("", *size, sum)
}

func yield() {
	var last, changes int64
	var both sync.WaitGroup
	both.Add(2)
	start()
	for me := int64(1); me <= 2; me++ {
		go func(me int64) {
			for i := int64(0); i < *size; i++ {
				if last != me {
					changes++
				}
				last = me
				runtime.Gosched()
			}
			both.Done()
		}(me)
	}
	both.Wait()
	stop("", 2**size, changes)
}

func pingPong() {
	there, back := make(chan int64), make(chan int64)
	var sum int64
	var both sync.WaitGroup
	both.Add(2)
	start()
	go func() {
		for i := int64(0); i < *size; i++ {
			there <- i
			value := <-back
			if value != i+1 {
				fail("an answer")
			}
			sum += value
		}
		both.Done()
	}()
	go func() {
		for i := int64(0); i < *size; i++ {
			value := <-there
			if value != i {
				fail("a question")
			}
			back <- value + 1
		}
		both.Done()
	}()
	both.Wait()
	stop("", *size, sum)
}

func channel() {
	sides := int64(1)
	if *form == "4:4" {
		sides = 4
	}
	share := *size / sides
	messages := make(chan int64, 128)
	sums := make(chan int64, sides)
	var senders sync.WaitGroup
	senders.Add(int(sides))
	start()
	for side := int64(0); side < sides; side++ {
		go func() {
			for i := int64(1); i <= share; i++ {
				messages <- i
			}
			senders.Done()
		}()
		go func() {
			var sum int64
			for value := range messages {
				sum += value
			}
			sums <- sum
		}()
	}
	senders.Wait()
	close(messages)
	var sum int64
	for side := int64(0); side < sides; side++ {
		sum += <-sums
	}
	stop("", share*sides, sum)
}

func lock() {
	const tasks = 4
	var mutex sync.Mutex
	var count int64
	start()
	for i := int64(0); i < *size; i++ {
		mutex.Lock()
		count++
		mutex.Unlock()
	}
	stop("free", *size, count)

	count = 0
	var all sync.WaitGroup
	all.Add(tasks)
	start()
	for task := 0; task < tasks; task++ {
		go func() {
			for i := int64(0); i < *size/tasks; i++ {
				mutex.Lock()
				before := count
				runtime.Gosched()
				count = before + 1
				mutex.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	stop("handed", *size, count)
}

var aliveBefore int64

func alive() {
	print := *form == "snprintf"
	gate, allHere := make(chan struct{}), make(chan struct{})
	var here, sum atomic.Int64
	var all sync.WaitGroup
	all.Add(int(*size))
	if repetition == 1 {
		aliveBefore = residentBytes()
	}
	start()
	for i := int64(0); i < *size; i++ {
		go func(i int64) {
			if print {
				text := fmt.Sprintf("%.3f is a number", float64(i))
				var value float64
				fmt.Sscanf(text, "%f", &value)
				i = int64(value)
			}
			if here.Add(1) == *size {
				close(allHere)
			}
			<-gate
			sum.Add(i)
			all.Done()
		}(i)
	}
	<-allHere
	resident := residentBytes() - aliveBefore
	close(gate)
	all.Wait()
	stop("", *size, sum.Load())
	amount("resident", "byte", float64(resident)/float64(*size), sum.Load())
}

func timers() {
	never := func() { fail("a timer that was stopped") }
	after := func(i int64) *time.Timer {
		return time.AfterFunc(time.Hour+time.Duration(i*7919%1000000)*time.Millisecond, never)
	}
	var count int64
	start()
	for i := int64(0); i < *size; i++ {
		if after(i).Stop() {
			count++
		}
	}
	stop("restart", *size, count)

	all := make([]*time.Timer, *size)
	start()
	for i := range all {
		all[i] = after(int64(i))
	}
	stop("create", *size, int64(len(all)))

	count = 0
	start()
	for i := range all {
		if all[i].Stop() {
			count++
		}
	}
	stop("cancel", *size, count)
}

func sleepers() {
	var awake, begun atomic.Int64
	var all sync.WaitGroup
	all.Add(int(*size))
	epoch := time.Now()
	start()
	for i := int64(0); i < *size; i++ {
		go func() {
			now := int64(time.Since(epoch))
			for seen := begun.Load(); seen < now && !begun.CompareAndSwap(seen, now); seen = begun.Load() {
			}
			time.Sleep(time.Second)
			awake.Add(1)
			all.Done()
		}()
	}
	all.Wait()
	late := float64(int64(time.Since(epoch))-begun.Load())/1e6 - 1000
	stop("", *size, awake.Load())
	amount("late", "ms", late, awake.Load())
}

// A pool of two goroutines, and at most 1,024 jobs on their way.
func toThread() {
	type job struct {
		fn     func(int64) (int64, error)
		number int64
	}
	type outcome struct {
		value int64
		err   error
	}
	const window = 1024
	jobs, outcomes := make(chan job, window), make(chan outcome, window)
	for i := 0; i < 2; i++ {
		go func() {
			for job := range jobs {
				value, err := job.fn(job.number)
				outcomes <- outcome{value, err}
			}
		}()
	}
	increment := func(number int64) (int64, error) { return number + 1, nil }
	var next, sum int64
	start()
	for done := int64(0); done < *size; done++ {
		for ; next < *size && next-done < window; next++ {
			jobs <- job{increment, next}
		}
		outcome := <-outcomes
		if outcome.err != nil {
			fail(outcome.err)
		}
		sum += outcome.value
	}
	stop("", *size, sum)
	close(jobs)
}

// Two goroutines that are threads, not pinned.
func wake() {
	runtime.GOMAXPROCS(2)
	there, back := make(chan int64), make(chan int64)
	go func() {
		runtime.LockOSThread()
		for value := range there {
			back <- value
		}
	}()
	runtime.LockOSThread()
	var trips int64
	start()
	for i := int64(0); i < *size; i++ {
		there <- i
		<-back
		trips++
	}
	stop("", *size, trips)
	close(there)
}
