// bench.go: what harness/bench.h is to the programs in C: arguments, clocks, the line of JSON.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
)

var (
	workers     = flag.Int("workers", 1, "GOMAXPROCS")
	size        = flag.Int64("size", 1, "work of one repetition")
	repetitions = flag.Int("repetitions", 2, "in this process")
	form        = flag.String("form", "", "of the question")

	repetition int
	startWall  time.Time
	startCPU   int64
)

func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	var total, resident int64
	if _, scan := fmt.Sscan(string(text), &total, &resident); err != nil || scan != nil {
		fail("/proc/self/statm")
	}
	return resident * int64(os.Getpagesize())
}

func start() {
	startCPU = cpuNs()
	startWall = time.Now()
}

func stop(cell string, operations, checksum int64) {
	wall := time.Since(startWall)
	cpu := cpuNs() - startCPU
	fmt.Printf("{\"repetition\": %d, \"cell\": \"%s\", \"checksum\": %d, \"resident_bytes\": %d, "+
		"\"operations\": %d, \"wall_ns\": %d, \"cpu_ns\": %d}\n",
		repetition, cell, checksum, residentBytes(), operations, wall.Nanoseconds(), cpu)
}

func amount(cell, unit string, value float64, checksum int64) {
	fmt.Printf("{\"repetition\": %d, \"cell\": \"%s\", \"checksum\": %d, \"resident_bytes\": %d, "+
		"\"unit\": \"%s\", \"amount\": %g}\n", repetition, cell, checksum, residentBytes(), unit, value)
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

func main() {
	if len(os.Args) < 2 {
		fail("which question?")
	}
	question, known := questions[os.Args[1]]
	if !known {
		fail("no such question: " + os.Args[1])
	}
	flag.CommandLine.Parse(os.Args[2:])
	runtime.GOMAXPROCS(*workers)
	for repetition = 1; repetition <= *repetitions; repetition++ {
		question()
	}
}
