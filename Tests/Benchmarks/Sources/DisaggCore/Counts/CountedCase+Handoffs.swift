/// A request's whole life in the hand-off machine: both legs well, one notification where there are any.
extension CountedCase {
    static var handoffs: [CountedCase] {
        HandoffKind.allCases.map { kind in
            CountedCase("handoff.\(kind.rawValue)") {
                let rules = CountedInput.proxy(kind).handoff.rules
                let alone = kind == .none
                let machine = Held(HandoffMachine(rules: rules, retries: RequestDriver.retries))
                return {
                    machine.value = HandoffMachine(rules: rules, retries: RequestDriver.retries)
                    keep(machine.value.start(alone: alone))
                    if rules.dispatch == .decodeFirst { keep(machine.value.decodeWasSent()) }
                    if !alone, rules.dispatch != .delegated { keep(machine.value.prefillAnswered(.ready)) }
                    for _ in 0..<rules.expectedNotices { keep(machine.value.noticeArrived()) }
                    keep(machine.value.decodeHead(status: 200, handedOff: !alone, mayRetry: false))
                    keep(machine.value.decodeEnded())
                }
            }
        }
    }
}
