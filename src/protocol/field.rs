//! Field names and message types on the wire. Spec: docs/protocol/wire.md, 8 and 10.

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
    };
}

words! {
    /// Message type.
    T = "t";
    /// Name of the originating node.
    SRC = "src";
    /// Uuid of the originating node, binary 16.
    SRC_UUID = "srcuuid";
    /// Node the message is for; absent: all.
    DEST = "dest";
    /// Uuid of `dest`.
    DEST_UUID = "destuuid";
    /// Sequence number, hex.
    SEQ = "seq";
    /// Generation, hex.
    HG = "hg";
    /// Sender's clock, seconds since 1970, hex.
    TS = "ts";
    /// Load average line.
    LD = "ld";
    /// Hop limit, decimal; informational.
    TTL = "ttl";
    /// Authentication token.
    AUTH = "auth";
    /// Status.
    ST = "st";
    /// Milliseconds of silence after which the sender is dead, hex.
    DT = "dt";
    /// Protocol version.
    PROTOCOL = "protocol";
    /// Comment; part of the standby protocol.
    INFO = "info";
    /// First number of a range: decimal in `NS_rexmit`, hex in `NS_nak_rexmit`.
    FIRST_SEQ = "firstseq";
    /// Last number of a range, decimal.
    LAST_SEQ = "lastseq";
    /// Sequence number acknowledged, hex.
    ACK_SEQ = "ackseq";
    /// Node described.
    NODE = "node";
    /// Node names separated by blanks.
    NODE_LIST = "nodelist";
    /// Deleted node names separated by blanks.
    DEL_NODE_LIST = "delnodelist";
    /// Quorum weight.
    WEIGHT = "weight";
    /// Site name.
    SITE = "site";
    /// Holding set.
    RSC_HOLD = "rsc_hold";
    /// `full` in resource reports.
    RTYPE = "rtype";
    /// `0` or `1`.
    IS_STABLE = "isstable";
    /// Outcome.
    RESULT = "result";
    /// Group key in a hand-over.
    IPADDR = "ipaddr";
    /// Whether the answering node ran the group.
    WEOWN = "weown";
    /// `OK`.
    OK = "ok";
    /// Link name in `ifstat`.
    IFNAME = "ifname";
    /// Capability words of a Systole node, separated by dots. Ours; legacy ignores it.
    SYSTOLE = "systole";
    /// Keys of the groups that did not start at the giver of a standby, separated by blanks, in
    /// its `done`. Ours: sent to a Systole node only.
    FAILED = "systole_failed";
    /// Of these, the groups that go because restarts did not help a monitored resource. Ours: beside `FAILED`.
    AILING = "systole_ailing";
    /// The run of the other node that the sender declared dead. Ours, see `protocol/partition.rs`.
    GONE = "systole_gone";
    /// Mark of the owners in a node's haresources, see `protocol/haresources_mark.rs`.
    HARESOURCES = "systole_haresources";
    /// Nodes that the sender of a status does not receive. Ours, see `protocol/hearing.rs`.
    DEAF = "systole_deaf";
    /// Links over which the sender of a status does not receive a node that it receives. Ours, as
    /// above.
    DEAF_ON = "systole_deaf_on";
    /// How many groups the sender of a report ran and runs. Ours, see `protocol/partition.rs`.
    RUNS = "systole_runs";
    /// How many of these groups have another owner; sent with `RUNS` and with `GONE`. Ours, see
    /// `protocol/partition.rs`.
    RUNS_FOREIGN = "systole_runs_foreign";
    /// Mark of all lines of a node's haresources. Ours, as above.
    LINES = "systole_lines";
    /// Marks of each line, sent while another node's file differs.
    EACH_LINE = "systole_each_line";
    /// Mark of the monitors of the sender of a status. Ours, see `protocol/membership/monitors.rs`.
    MONITORS = "systole_monitors";
    /// Hand groups over although haresources differ (`--force`). Ours.
    FORCE = "systole_force";
    /// Dead time for Systole nodes, hex, ms: sent while `DT` is longer because the sender has just
    /// started. Ours.
    OUR_DT = "systole_dt";
    /// Which groups run at the sender of a report. Ours, see `resources/facts/by_group.rs`.
    NAMES = "systole_names";
    /// Whether the interfaces of the service addresses are up at the sender of a status. Ours, see
    /// `protocol/links.rs`.
    LINKS = "systole_links";
    /// The newest question that the sender of a report had received. Ours, see `protocol/question.rs`.
    HEARD = "systole_heard";
    /// The offer of a standby whose `done` the sender of a report did not wait for. Ours.
    NOT_TAKEN = "systole_not_taken";
    /// Sending client.
    FROM_ID = "from_id";
    /// Receiving client.
    TO_ID = "to_id";
    /// Client name asked about.
    CLIENT_NAME = "cn";
    /// Status of that client.
    CLIENT_STATUS = "cs";
    /// Registration number of the sending client.
    CLIENT_GEN = "client_gen";
    /// Compressed whole message.
    COMPRESSED_PAYLOAD = "_compressed_payload";
    /// Its algorithm.
    COMPRESSION_ALGORITHM = "_compression_algorithm";
}

/// Message types.
pub mod kind {
    words! {
        /// Periodic heartbeat.
        STATUS = "status";
        /// Status of a ping node, local only.
        NS_STATUS = "NS_st";
        /// Asks for the node list.
        REQ_NODES = "reqnodes";
        /// Node list.
        REP_NODES = "repnodes";
        /// Adds nodes.
        ADD_NODE = "addnode";
        /// Removes nodes.
        DEL_NODE = "delnode";
        /// Stores a weight.
        SET_WEIGHT = "setweight";
        /// Stores a site.
        SET_SITE = "setsite";
        /// Link change, never on the wire.
        IF_STAT = "ifstat";
        /// Asks for a resend.
        NS_REXMIT = "NS_rexmit";
        /// Refuses a resend.
        NS_NAK_REXMIT = "NS_nak_rexmit";
        /// Acknowledges.
        NS_ACKMSG = "NS_ackmsg";
        /// A client signed on or off.
        CLIENT_STATUS = "hbapi-clstat";
        /// Asks about a client.
        QUERY_CLIENT_STATUS = "query-cstatus";
        /// Answers it.
        RESPOND_CLIENT_STATUS = "respond-cstatus";
        /// The node became active.
        STARTING = "starting";
        /// Resource report.
        RESOURCE = "resource";
        /// Standby protocol.
        ASK_RESOURCES = "ask_resources";
        /// Takeover request.
        HB_TAKEOVER = "hb_takeover";
        /// Legacy model: asks for a group.
        IP_REQUEST = "ip-request";
        /// Legacy model: answer.
        IP_REQUEST_RESP = "ip-request-resp";
        /// All groups released.
        SHUTDONE = "shutdone";
        /// Outcome of fencing.
        STONITH = "stonith";
    }
    /// Types with this prefix carry no sequence number.
    pub const UNSEQUENCED_PREFIX: &str = "NS_";

    /// Whether only membership may send messages of this type, and no local program.
    /// Spec: docs/protocol/client-api.md, 7.
    #[must_use]
    pub fn is_of_membership(kind: &str) -> bool {
        kind.starts_with(UNSEQUENCED_PREFIX) || matches!(kind, STATUS | REQ_NODES | REP_NODES)
    }

    /// Whether only daemons may send messages of this type, and no client.
    /// Spec: docs/protocol/client-api.md, 7.
    #[must_use]
    pub fn is_of_daemons(kind: &str) -> bool {
        is_of_membership(kind)
            || matches!(
                kind,
                STARTING
                    | RESOURCE
                    | SHUTDONE
                    | IP_REQUEST
                    | IP_REQUEST_RESP
                    | STONITH
                    | ADD_NODE
                    | DEL_NODE
                    | SET_WEIGHT
                    | SET_SITE
            )
    }
}
